/** What storage needs of a database engine whose redo it keeps. Pure, and of no engine in particular. */
export {
  EngineStateError,
  type EngineId,
  formatEngine,
  type EngineState,
  type PageEffect,
  type RecordPlaces,
  type RecordsOf,
  RedoError,
  type RedoEngine,
  type RedoPages,
  type RedoRecord,
  type RedoRunner,
  type RedoSteps,
  type TouchedPage,
  type TouchMany,
  type TouchPage,
} from './engine.ts';
export { EngineRegistry, EngineUnknownError } from './engine-registry.ts';
export {
  decodeKey,
  encodeKey,
  keyText,
  PAGE_KEY_BYTES_MAX,
  PAGE_KEY_BYTES_MIN,
  type PageKey,
  PageKeyError,
  spaceBytes,
  spaceOfBytes,
} from './page-key.ts';
