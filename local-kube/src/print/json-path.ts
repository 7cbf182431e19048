import { isObject, type Json } from '../store/object.ts';

/**
 * The simple JSONPath of printer columns: `.status.phase`, `.spec['a.b']`, `.items[0].x`, `.list[*].name`,
 * `.status.conditions[?(@.type=="Ready")].status`. Returns every match; an unreadable path matches nothing.
 */
export function jsonPath(root: Json, path: string): Json[] {
  let found: Json[] = [root];
  let rest = path.startsWith('.') || path.startsWith('[') ? path : `.${path}`;
  while (rest !== '') {
    const step = nextStep(rest);
    if (step === undefined) return [];
    found = found.flatMap(step.select);
    rest = rest.slice(step.length);
  }
  return found;
}

interface Step {
  readonly length: number;
  readonly select: (value: Json) => Json[];
}

const field = (key: string) => (value: Json) => {
  const at = isObject(value) ? value[key] : undefined;
  return at === undefined ? [] : [at];
};

function nextStep(rest: string): Step | undefined {
  const named = /^\.((?:[^.[\\]|\\.)+)/.exec(rest);
  if (named?.[1] !== undefined) return { length: named[0].length, select: field(named[1].replaceAll('\\.', '.')) };
  if (rest === '.') return { length: 1, select: (value) => [value] };
  const quoted = /^\[(?:'([^']*)'|"([^"]*)")\]/.exec(rest);
  if (quoted !== null) return { length: quoted[0].length, select: field(quoted[1] ?? quoted[2] ?? '') };
  const all = /^\.?\[\*\]/.exec(rest);
  if (all !== null) return { length: all[0].length, select: (value) => (Array.isArray(value) ? value : []) };
  const index = /^\[(-?\d+)\]/.exec(rest);
  if (index !== null) {
    return {
      length: index[0].length,
      select: (value) => {
        const item = Array.isArray(value) ? value.at(Number(index[1])) : undefined;
        return item === undefined ? [] : [item];
      },
    };
  }
  const filter = /^\[\?\(@(\.[^=!\s]+)\s*(==|!=)\s*(?:"([^"]*)"|'([^']*)'|([^)\s]+))\)\]/.exec(rest);
  if (filter !== null) {
    const [whole, path = '', operator, double, single, bare] = filter;
    const wanted = double ?? single ?? bare ?? '';
    const fits = (item: Json): boolean => jsonPath(item, path).some((value) => String(value) === wanted) === (operator === '==');
    return { length: whole.length, select: (value) => (Array.isArray(value) ? value.filter(fits) : []) };
  }
  return undefined;
}
