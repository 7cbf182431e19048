export {
  KeyEncryptionKey,
  newDataKey,
  readKey,
  WRAPPED_BYTES,
  WrappedKeyError,
  type KeyReading,
  type Wrapped,
} from './key-encryption-key.ts';
export { KeyRing } from './key-ring.ts';
export { SEAL_BYTES, SealError, Sealer, type Purpose, type Random, type Sealed } from './sealer.ts';
