import jsonPatch, { type Operation } from 'fast-json-patch';
import type { Json } from '../store/object.ts';

/** A patch that cannot be read or applied; the text says which operation. */
export class PatchError extends Error {}

/** RFC 6902. Returns a new value; throws PatchError, in which case nothing has changed. */
export function applyJsonPatch(target: Json, patch: Json): Json {
  if (!Array.isArray(patch)) throw new PatchError('a JSON patch must be an array of operations');
  try {
    // Validates each operation against the document as it is by then; the target itself is left alone.
    return jsonPatch.applyPatch<Json>(structuredClone(target), patch as unknown as Operation[], true).newDocument;
  } catch (error) {
    if (!(error instanceof jsonPatch.JsonPatchError)) throw error;
    const at = error.index === undefined ? '' : `operation ${error.index} (${JSON.stringify(error.operation)}): `;
    throw new PatchError(`${at}${EXPLANATIONS[error.name] ?? error.name}`, { cause: error });
  }
}

const EXPLANATIONS: { readonly [name: string]: string } = {
  TEST_OPERATION_FAILED: 'the test failed: the value is another one',
  OPERATION_PATH_UNRESOLVABLE: 'the path does not exist',
  OPERATION_PATH_CANNOT_ADD: 'the parent of the path does not exist',
  OPERATION_FROM_UNRESOLVABLE: 'the path in "from" does not exist',
  OPERATION_NOT_AN_OBJECT: 'it is not an object',
  OPERATION_OP_INVALID: '"op" must be one of add, remove, replace, move, copy and test',
  OPERATION_PATH_INVALID: '"path" must be a text that begins with /',
  OPERATION_FROM_REQUIRED: '"from" is needed',
  OPERATION_VALUE_REQUIRED: '"value" is needed',
  OPERATION_VALUE_OUT_OF_BOUNDS: 'the index is out of range',
  OPERATION_PATH_ILLEGAL_ARRAY_INDEX: 'the index of an array must be a number, or - to append',
};
