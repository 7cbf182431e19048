import { JSONPath } from 'jsonpath-plus';
import type { Json } from '../store/object.ts';

/**
 * The JSONPath of printer columns: `.status.phase`, `.spec['a.b']`, `.spec.a\.b`, `.items[0].x`, `.list[*].name`,
 * `.status.conditions[?(@.type=="Ready")].status`. Returns every match.
 * https://kubernetes.io/docs/reference/kubectl/jsonpath/ ; what kubectl writes otherwise than others is translated.
 */
export function jsonPath(root: Json, path: string): Json[] {
  const relative = path === '.' ? '' : path.startsWith('.') || path.startsWith('[') ? path : `.${path}`;
  const translated = relative
    .replaceAll(/\.((?:[^.[\]\\]|\\.)*\\\.(?:[^.[\]\\]|\\.)*)/g, (_whole, key: string) => `['${key.replaceAll('\\.', '.')}']`)
    .replaceAll(/\[(-\d+)\]/g, (_whole, index: string) => `[${index}:${Number(index) === -1 ? '' : Number(index) + 1}]`);
  // Filters are evaluated by the library's own interpreter: a column of a CRD is data, not code of ours.
  const found: unknown = JSONPath({ path: `$${translated}`, json: root as object, wrap: true, eval: 'safe' });
  return Array.isArray(found) ? (found as Json[]) : [];
}
