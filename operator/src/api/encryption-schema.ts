import type { Schema } from './open-api.ts';
import { secretReference } from './secret-reference.ts';

const KEY_OF_SECRET: Schema = {
  type: 'string',
  description:
    'Its entry that wraps from now on: 32 random bytes, as they are or in base64. Other entries unwrap what they wrapped before.',
  minLength: 1,
  maxLength: 253,
  pattern: '^[-_a-zA-Z0-9][-._a-zA-Z0-9]*$',
};

const secret = secretReference(
  'Secret in the same namespace that holds the key. Only storage pods mount it; the operator does not read it.',
);

/** `spec.storage.encryption`. */
export const encryption: Schema = {
  type: 'object',
  description:
    'Encrypts redo and pages on the disks of the storage pods with AES-256-GCM. Decided when the volume is made; to encrypt one that is there, load a dump of it into a new cluster. Without the key the data is lost: keep a copy of it elsewhere.',
  required: ['key'],
  properties: {
    key: {
      type: 'object',
      description: 'The key that wraps the data keys of the copies. To rotate it put another into the Secret; nothing is written anew.',
      required: ['secret'],
      properties: {
        secret: { ...secret, required: ['name', 'key'], properties: { ...secret.properties, key: KEY_OF_SECRET } },
      },
    },
  },
  'x-kubernetes-validations': [
    {
      rule: 'self == oldSelf',
      message:
        'a volume keeps the Secret that it was made with: put the old name and key back; to rotate, put another key into that Secret',
    },
  ],
};

/** Of `spec.storage`: a rule of the field itself sees nothing of it coming or going. */
export const keepsEncryption = {
  rule: 'has(self.encryption) == has(oldSelf.encryption)',
  message:
    'encryption is decided when a volume is made: put spec.storage.encryption back as it was; to encrypt data that is there, or no longer, load a dump of it (pg_dump) into a new cluster',
};
