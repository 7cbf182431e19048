import type { Json, JsonObject } from '../../local-kube/src/store/object.ts';

export interface Answer {
  /** kubectl's exit code. */
  readonly code: number | null;
  /** What it printed, as JSON where it is. */
  readonly out: Json;
  readonly problem: string;
}

/**
 * kubectl's answer without what differs from one run to the next: ids, versions, times, ages, addresses, hashes in
 * names.
 */
export function normalised(code: number | null, stdout: string, stderr: string): Answer {
  const object = stdout.trimStart().startsWith('{') ? parsed(stdout) : undefined;
  return { code, out: object === undefined ? lines(stdout) : plain(object), problem: lines(stderr) };
}

function parsed(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Who wrote which field is the subject of local-kube's own tests. */
const LEFT_OUT = new Set(['managedFields', 'kubectl.kubernetes.io/last-applied-configuration']);

function plain(value: Json, key = ''): Json {
  if (Array.isArray(value)) return value.map((item) => plain(item, key));
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(([name, inner]) => !LEFT_OUT.has(name) && inner !== undefined);
    const object: JsonObject = Object.fromEntries(entries.map(([name, inner]) => [hashed(name), plain(inner ?? null, name)]));
    if (isEmpty(object['annotations'])) delete object['annotations'];
    return object;
  }
  if (typeof value !== 'string') return value;
  if (key === 'uid' || key === 'resourceVersion') return `(${key})`;
  return lines(value);
}

const isEmpty = (value: Json | undefined): boolean => typeof value === 'object' && value !== null && Object.keys(value).length === 0;

/** `shop-7d9f8c6b5` and `shop-bcdfghjklm-x2x4z` → `shop-(hash)`. */
function hashed(text: string): string {
  return text
    .replaceAll(/\bshop-[bcdfghjklmnpqrstvwxz2456789]{8,10}(-[bcdfghjklmnpqrstvwxz2456789]{5})?\b/g, 'shop-(hash)')
    .replaceAll(/(pod-template-hash=)\w+/g, '$1(hash)')
    .replaceAll(/^[bcdfghjklmnpqrstvwxz2456789]{9,10}$/g, '(hash)');
}

function lines(text: string): string {
  return (
    hashed(text)
      .replaceAll(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, '(time)')
      .replaceAll(/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, '(uid)')
      .replaceAll(/\b(?:10\.96|127\.\d+)\.\d+\.\d+\b/g, '(address)')
      .split('\n')
      // Ages, and the width that columns have for them.
      .map((line) =>
        line
          .replaceAll(/\b(?:\d+[smh])+(?=\s|$)/g, '(age)')
          .replaceAll(/ {2,}/g, '  ')
          .trimEnd(),
      )
      .join('\n')
      .trim()
  );
}
