import type { EncryptionKeySource, EncryptionSpec } from './types.ts';

/** What the schema's rules say as well. */
export function* encryptionProblems(encryption: EncryptionSpec | undefined): Generator<readonly [string, string]> {
  for (const [name, source] of Object.entries({ key: encryption?.key, before: encryption?.before }))
    if (source !== undefined && (source.secret === undefined) === (source.kms === undefined))
      yield [`spec.storage.encryption.${name}`, 'is of a Secret or of a KMS; give secret or kms, and not both'];
}

/** For people: `key 'k1' of Secret orders-kek`. */
export function keySourceInWords({ secret, kms }: EncryptionKeySource): string {
  if (secret !== undefined) return `key '${secret.key}' of Secret ${secret.name}`;
  return `the KMS of plugin ${kms?.image ?? '?'}`;
}
