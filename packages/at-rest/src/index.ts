export { KeyEncryptionKey, newDataKey, readKey, WRAPPED_BYTES, type KeyReading } from './key-encryption-key.ts';
export { KmsKey, nameOfKmsKey } from './kms-key.ts';
export { KeyRing } from './key-ring.ts';
export { SEAL_BYTES, SealError, Sealer, type Purpose, type Random, type Sealed } from './sealer.ts';
export { WrappedKeyError, type KmsEnvelope, type Wrapped, type WrappingKey } from './wrapping-key.ts';
