import { isObject, jsonEqual, type Json } from '../store/object.ts';

/** A patch that cannot be read or applied; the text says which operation. */
export class PatchError extends Error {}

/** RFC 6902. Returns a new value; throws PatchError, in which case nothing has changed. */
export function applyJsonPatch(target: Json, patch: Json): Json {
  if (!Array.isArray(patch)) throw new PatchError('a JSON patch must be an array of operations');
  let result = structuredClone(target);
  for (const [index, operation] of patch.entries()) {
    if (!isObject(operation) || typeof operation['op'] !== 'string' || typeof operation['path'] !== 'string')
      throw new PatchError(`operation ${index} needs "op" and "path"`);
    result = applyOperation(result, operation['op'], operation['path'], operation['value'], operation['from']);
  }
  return result;
}

function applyOperation(root: Json, op: string, path: string, value: Json | undefined, from: Json | undefined): Json {
  const required = (): Json => {
    if (value === undefined) throw new PatchError(`${op} operation at "${path}" needs a value`);
    return structuredClone(value);
  };
  const source = (): string => {
    if (typeof from !== 'string') throw new PatchError(`${op} operation at "${path}" needs "from"`);
    return from;
  };
  switch (op) {
    case 'add':
      return add(root, path, required());
    case 'remove':
      return remove(root, path);
    case 'replace':
      return path === '' ? required() : add(remove(root, path), path, required());
    case 'move': {
      const moved = structuredClone(find(root, source()));
      return add(remove(root, source()), path, moved);
    }
    case 'copy':
      return add(root, path, structuredClone(find(root, source())));
    case 'test':
      if (!jsonEqual(find(root, path), value)) throw new PatchError(`testing value ${path} failed`);
      return root;
    default:
      throw new PatchError(`unexpected operation "${op}"`);
  }
}

function tokens(path: string): string[] {
  if (path === '') return [];
  if (!path.startsWith('/')) throw new PatchError(`path "${path}" must start with /`);
  return path
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function find(root: Json, path: string): Json {
  let at: Json = root;
  for (const token of tokens(path)) {
    const next: Json | undefined = Array.isArray(at) ? at[Number(token)] : isObject(at) ? at[token] : undefined;
    if (next === undefined) throw new PatchError(`the path "${path}" does not exist`);
    at = next;
  }
  return at;
}

function parentOf(root: Json, path: string): { parent: Json; last: string } {
  const all = tokens(path);
  const last = all.at(-1) ?? '';
  const upper = all.slice(0, -1).map((token) => `/${token.replaceAll('~', '~0').replaceAll('/', '~1')}`);
  return { parent: find(root, upper.join('')), last };
}

function add(root: Json, path: string, value: Json): Json {
  if (path === '') return value;
  const { parent, last } = parentOf(root, path);
  if (Array.isArray(parent)) {
    const index = last === '-' ? parent.length : Number(last);
    if (!Number.isInteger(index) || index < 0 || index > parent.length)
      throw new PatchError(`index "${last}" of "${path}" is out of range`);
    parent.splice(index, 0, value);
  } else if (isObject(parent)) parent[last] = value;
  else throw new PatchError(`the parent of "${path}" is neither an object nor an array`);
  return root;
}

function remove(root: Json, path: string): Json {
  const { parent, last } = parentOf(root, path);
  if (Array.isArray(parent) && Number(last) < parent.length) parent.splice(Number(last), 1);
  else if (isObject(parent) && parent[last] !== undefined) delete parent[last];
  else throw new PatchError(`the path "${path}" to remove does not exist`);
  return root;
}
