import type { Schema } from './open-api.ts';
import { listedResources } from './pod-resources-schema.ts';
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

const texts = (description: string): Schema => ({
  type: 'array',
  description,
  maxItems: 64,
  items: { type: 'string', maxLength: 1024 },
  'x-kubernetes-list-type': 'atomic',
});

const kms: Schema = {
  type: 'object',
  description:
    "A plugin of Kubernetes' KMS v2 API, which runs beside each storage daemon (a sidecar container, named kms) and listens at the Unix socket $(KMS_SOCKET). There are such plugins for AWS, Azure, Google Cloud, Vault, PKCS#11 and others. When the key that it names is another, data keys are wrapped by that one; nothing is written anew.",
  required: ['image'],
  properties: {
    image: { type: 'string', description: 'Image of the plugin.', minLength: 1, maxLength: 512, pattern: '^\\S+$' },
    command: texts('What to run in the place of what the image runs.'),
    args: texts('Arguments. $(KMS_SOCKET) stands for the path of the socket where the plugin has to listen.'),
    env: {
      type: 'array',
      description: 'Environment variables of the plugin, as in any pod: with a value, or with one out of a Secret.',
      maxItems: 64,
      items: {
        type: 'object',
        required: ['name'],
        properties: {
          name: {
            type: 'string',
            description: 'Name of the variable.',
            minLength: 1,
            maxLength: 256,
            pattern: '^[-._a-zA-Z][-._a-zA-Z0-9]*$',
          },
          value: { type: 'string', description: 'Its value.', maxLength: 4096 },
          valueFrom: {
            type: 'object',
            description: 'Where its value stands.',
            required: ['secretKeyRef'],
            properties: {
              secretKeyRef: {
                ...secretReference('Entry of a Secret in the same namespace.'),
                required: ['name', 'key'],
                properties: {
                  ...secret.properties,
                  key: { type: 'string', description: 'Name of the entry.', minLength: 1, maxLength: 253 },
                },
              },
            },
          },
        },
      },
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
    },
    secret: secretReference('Secret whose entries the plugin finds as files in /etc/kms-plugin: credentials, a CA, its configuration.'),
    serviceAccountToken: {
      type: 'object',
      description:
        "A token of the pod's ServiceAccount (default) that the plugin finds in /var/run/kms-plugin/token, renewed every hour: with it the KMS may let it in without a password (IAM roles for service accounts, Vault's Kubernetes authentication).",
      required: ['audience'],
      properties: {
        audience: { type: 'string', description: 'For whom the token is: sts.amazonaws.com, say.', minLength: 1, maxLength: 253 },
      },
    },
    resources: listedResources('each plugin'),
  },
};

const source = (description: string): Schema => ({
  type: 'object',
  description,
  properties: {
    secret: { ...secret, required: ['name', 'key'], properties: { ...secret.properties, key: KEY_OF_SECRET } },
    kms,
  },
  'x-kubernetes-validations': [
    { rule: 'has(self.secret) != has(self.kms)', message: 'a key is of a Secret or of a KMS: give secret or kms, and not both' },
  ],
});

/** Text by text: to an API server the same object in two places is of two types, which it does not compare. */
const isOldSecret = (source: string): string =>
  `has(${source}.secret) && ${source}.secret.name == oldSelf.key.secret.name && ${source}.secret.key == oldSelf.key.secret.key`;

/** What was wrapped by a key of a Secret or of a KMS goes over to another one only where both are there. */
const CHANGE_NAMES_BEFORE = [
  '!has(oldSelf.key.kms) || has(self.key.kms) || (has(self.before) && has(self.before.kms))',
  `!has(oldSelf.key.secret) || (${isOldSecret('self.key')}) || (has(self.before) && ${isOldSecret('self.before')})`,
];

/** `spec.storage.encryption`. */
export const encryption: Schema = {
  type: 'object',
  description:
    'Encrypts redo and pages on the disks of the storage pods with AES-256-GCM. Decided when the volume is made; to encrypt one that is there, load a dump of it into a new cluster. Without the key the data is lost: keep a copy of it elsewhere.',
  required: ['key'],
  properties: {
    key: source(
      'The key that wraps the data keys of the copies. To rotate it put another into the Secret, or have the KMS rotate it; nothing is written anew.',
    ),
    before: source(
      'The key that wrapped before, where another Secret or a KMS takes its place, or the place of a KMS: it unwraps. Take it out once the condition DataEncrypted is True.',
    ),
  },
  'x-kubernetes-validations': [
    {
      rule: CHANGE_NAMES_BEFORE.map((rule) => `(${rule})`).join(' && '),
      message:
        'what is stored is wrapped by the key that was named before: name that one as spec.storage.encryption.before beside the new one; to rotate a key, put another into the same Secret',
    },
  ],
};

/** Of `spec.storage`: a rule of the field itself sees nothing of it coming or going. */
export const keepsEncryption = {
  rule: 'has(self.encryption) == has(oldSelf.encryption)',
  message:
    'encryption is decided when a volume is made: put spec.storage.encryption back as it was; to encrypt data that is there, or no longer, load a dump of it (pg_dump) into a new cluster',
};
