import { expect, test } from 'vitest';
import { clusterSchema } from '../../operator/src/api/schema.ts';
import type { OpenSchema } from '../../local-kube/src/schema/open-schema.ts';
import { applyDefaults, validateCustom } from '../../local-kube/src/schema/validate.ts';
import type { Json } from '../../local-kube/src/store/object.ts';

/**
 * What Kubernetes 1.35.4 answered to these manifests with deploy/crd.yaml, word for word; local-kube must say the same.
 */
const NOT_CHECKED =
  '<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation';
const SIZE_PATTERN = '^[0-9]*[1-9][0-9]*(\\.[0-9]+)?(Mi|Gi|Ti|M|G|T)$';
const QUANTITY_PATTERN = '^(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))))?$';
const KEY_BEFORE_STAYS =
  'what is stored is wrapped by the key that was named before: name that one as spec.storage.encryption.before beside the new one; to rotate a key, put another into the same Secret';
const ENCRYPTION_STAYS =
  'encryption is decided when a volume is made: put spec.storage.encryption back as it was; to encrypt data that is there, or no longer, load a dump of it (pg_dump) into a new cluster';
const GOOD = { storage: { size: '10Gi' } };
const of = (spec: Json, status?: Json): Json => ({
  apiVersion: 'kube-aurora.dev/v1alpha1',
  kind: 'AuroraCluster',
  metadata: { name: 'good' },
  spec,
  ...(status === undefined ? {} : { status }),
});

const RECORDED: readonly (readonly [string, Json, Json | undefined, readonly string[]])[] = [
  [
    'a good one',
    of({
      storage: { size: '10Gi', resources: { requests: { cpu: 1, memory: '1Gi' }, limits: { cpu: '2', memory: '2Gi' } } },
      compute: { resources: { requests: { cpu: '500m' } } },
    }),
    undefined,
    [],
  ],
  [
    'too small',
    of({ storage: { size: '1Mi' } }),
    undefined,
    ['spec.storage.size: Invalid value: "1Mi": too small for a redo log and a database: use at least 256Mi'],
  ],
  [
    'absurd',
    of({ storage: { size: '99999Ti' } }),
    undefined,
    ['spec.storage.size: Invalid value: "99999Ti": larger than any volume: use at most 64Ti'],
  ],
  [
    'no size at all',
    of({ storage: { size: 'banana' } }),
    undefined,
    [`spec.storage.size: Invalid value: "banana": spec.storage.size in body should match '${SIZE_PATTERN}'`],
  ],
  [
    'a negative quantity',
    of({ ...GOOD, compute: { resources: { requests: { cpu: '-1' } } } }),
    undefined,
    [
      `spec.compute.resources.requests.cpu: Invalid value: "-1": spec.compute.resources.requests.cpu in body should match '${QUANTITY_PATTERN}'`,
    ],
  ],
  [
    'a negative number',
    of({ ...GOOD, compute: { resources: { requests: { cpu: -1 } } } }),
    undefined,
    [
      'spec.compute.resources.requests.cpu: Invalid value: -1: spec.compute.resources.requests.cpu in body should be greater than or equal to 0',
    ],
  ],
  [
    'requests above limits',
    of({
      storage: { size: '1Gi', resources: { requests: { memory: '2Gi' }, limits: { memory: '1Gi' } } },
      compute: { resources: { requests: { cpu: 2 }, limits: { cpu: '1500m' } } },
    }),
    undefined,
    [
      'spec.compute.resources: Invalid value: requests.cpu must not be above limits.cpu',
      'spec.storage.resources: Invalid value: requests.memory must not be above limits.memory',
    ],
  ],
  [
    'an unknown resource',
    of({ ...GOOD, compute: { resources: { limits: { cpuu: 2 } } } }),
    undefined,
    [
      'spec.compute.resources.limits: Invalid value: resources are cpu, memory, ephemeral-storage, hugepages-SIZE, or DOMAIN/NAME for others',
    ],
  ],
  [
    'an endless quantity',
    of({ ...GOOD, compute: { resources: { limits: { cpu: '1'.repeat(40) } } } }),
    undefined,
    ['spec.compute.resources.limits.cpu: Too long: may not be more than 32 bytes', NOT_CHECKED],
  ],
  [
    'shrinking',
    of({ storage: { size: '5Gi' } }),
    of(GOOD),
    ['spec.storage.size: Invalid value: "5Gi": volumes grow and never shrink: keep the size, or give a larger one'],
  ],
  [
    'other zones',
    of({ storage: { size: '20Gi', zones: ['a', 'b', 'c'] } }),
    of(GOOD),
    ['spec.storage.zones: Invalid value: copies stay in the zones they were made in: put the old zones back'],
  ],
  [
    'other copies',
    of({ storage: { size: '20Gi', copies: 'Mixed' } }),
    of(GOOD),
    ['spec.storage.copies: Invalid value: "Mixed": a volume keeps the copies that it was made with: put the old value back'],
  ],
  ['growing', of({ storage: { size: '20Gi' } }), of(GOOD), []],
  [
    'an image with a space',
    of({ ...GOOD, images: { computeNode: 'a b' } }),
    undefined,
    ['spec.images.computeNode: Invalid value: "a b": spec.images.computeNode in body should match \'^\\S+$\''],
  ],
  [
    'a segment twice, in a state that is none',
    of(GOOD, { storage: { segments: [{ id: 'a', state: 'ODD' }, { id: 'a' }] } }),
    of(GOOD),
    [
      'status.storage.segments[0].state: Unsupported value: "ODD": supported values: "READY", "EMPTY", "IMPORTING", "DAMAGED", "UNREACHABLE", "UNKNOWN"',
      'status.storage.segments[1]: Duplicate value: {"id":"a"}',
      NOT_CHECKED,
    ],
  ],
];

const encryptedBy = (encryption: Json): Json => of({ storage: { size: '20Gi', encryption } });

/** Not recorded: in the form that Kubernetes gives such answers. */
const EXPECTED: readonly (readonly [string, Json, Json | undefined, readonly string[]])[] = [
  [
    'encryption of a volume that is there',
    of({ storage: { size: '20Gi', encryption: { key: { secret: { name: 'kek', key: 'key' } } } } }),
    of(GOOD),
    [`spec.storage: Invalid value: ${ENCRYPTION_STAYS}`],
  ],
  [
    'a volume without the encryption that it has',
    of({ storage: { size: '20Gi' } }),
    of({ storage: { size: '20Gi', encryption: { key: { secret: { name: 'kek', key: 'key' } } } } }),
    [`spec.storage: Invalid value: ${ENCRYPTION_STAYS}`],
  ],
  [
    'another Secret for a key',
    of({ storage: { size: '20Gi', encryption: { key: { secret: { name: 'other', key: 'key' } } } } }),
    of({ storage: { size: '20Gi', encryption: { key: { secret: { name: 'kek', key: 'key' } } } } }),
    [`spec.storage.encryption: Invalid value: ${KEY_BEFORE_STAYS}`],
  ],
  [
    'a KMS in the place of a Secret, which it has to name',
    encryptedBy({ key: { kms: { image: 'kms:1' } } }),
    encryptedBy({ key: { secret: { name: 'kek', key: 'key' } } }),
    [`spec.storage.encryption: Invalid value: ${KEY_BEFORE_STAYS}`],
  ],
  [
    'the same, with the Secret that wrapped before',
    encryptedBy({ key: { kms: { image: 'kms:1' } }, before: { secret: { name: 'kek', key: 'key' } } }),
    encryptedBy({ key: { secret: { name: 'kek', key: 'key' } } }),
    [],
  ],
  [
    'a Secret in the place of a KMS, without it',
    encryptedBy({ key: { secret: { name: 'kek', key: 'key' } } }),
    encryptedBy({ key: { kms: { image: 'kms:1' } } }),
    [`spec.storage.encryption: Invalid value: ${KEY_BEFORE_STAYS}`],
  ],
  [
    'another image of a plugin, and the key from before gone',
    encryptedBy({ key: { kms: { image: 'kms:2' } } }),
    encryptedBy({ key: { kms: { image: 'kms:1' } }, before: { secret: { name: 'kek', key: 'key' } } }),
    [],
  ],
  [
    'a key of both kinds',
    encryptedBy({ key: { kms: { image: 'kms:1' }, secret: { name: 'kek', key: 'key' } } }),
    undefined,
    ['spec.storage.encryption.key: Invalid value: a key is of a Secret or of a KMS: give secret or kms, and not both'],
  ],
  [
    'a key that names no entry',
    of({ storage: { size: '20Gi', encryption: { key: { secret: { name: 'kek' } } } } }),
    undefined,
    ['spec.storage.encryption.key.secret.key: Required value', NOT_CHECKED],
  ],
  [
    'no instance',
    of({ ...GOOD, instances: 0 }),
    undefined,
    ['spec.instances: Invalid value: 0: a cluster has a writer at least: use 1 or more'],
  ],
  [
    'too many instances',
    of({ ...GOOD, instances: 17 }),
    undefined,
    ['spec.instances: Invalid value: 17: there is one writer and at most 15 readers: use 16 or less'],
  ],
  [
    'the name that instances had',
    of({ ...GOOD, replicas: 1 }),
    undefined,
    ['spec.replicas: Forbidden: it was renamed: write spec.instances in its place'],
  ],
  // What is stored already must not lock the object.
  ['the name that instances had, as it was', of({ ...GOOD, replicas: 1, storage: { size: '20Gi' } }), of({ ...GOOD, replicas: 1 }), []],
  [
    'an endpoint of a name that is taken',
    of({ ...GOOD, endpoints: [{ name: 'ro' }] }),
    undefined,
    ['spec.endpoints[0].name: Invalid value: "ro": every cluster has a Service of that name: choose another one'],
  ],
  [
    'an endpoint that names who is in it and who is not',
    of({ ...GOOD, endpoints: [{ name: 'reports', instances: [1], excludedInstances: [2] }] }),
    undefined,
    ['spec.endpoints[0]: Invalid value: name the instances that are in it, or those that are not: instances or excludedInstances'],
  ],
  [
    'how failover may be',
    of({ ...GOOD, failover: { after: '1500ms' }, instanceOverrides: [{ instance: 2, promotionTier: 0 }] }),
    undefined,
    [],
  ],
  [
    'a writer given up too soon',
    of({ ...GOOD, failover: { after: '999ms' } }),
    undefined,
    ['spec.failover.after: Invalid value: "999ms": a writer that lives may be silent for half of that: use at least 1s'],
  ],
  [
    'a writer given up too late',
    of({ ...GOOD, failover: { after: '2m' } }),
    undefined,
    ['spec.failover.after: Invalid value: "2m": nobody would write for all that time: use at most 60s'],
  ],
  [
    'a warm cache that nobody would fill',
    of({ ...GOOD, failover: { warmCache: { pagesPerSecond: 0 } } }),
    undefined,
    ['spec.failover.warmCache.pagesPerSecond: Invalid value: 0: nothing would be fetched: use 1 or more, or enabled: false'],
  ],
  [
    'overrides of what is no instance, and tiers that are none',
    of({ ...GOOD, instanceOverrides: [{ instance: 17 }, { instance: 2, promotionTier: 16 }] }),
    undefined,
    [
      'spec.instanceOverrides[0].instance: Invalid value: 17: instances have numbers from 1 to 16: use one of them',
      'spec.instanceOverrides[1].promotionTier: Invalid value: 16: tiers go from 0, which is first, to 15: use one of them',
    ],
  ],
  [
    'two overrides of one instance',
    of({ ...GOOD, instanceOverrides: [{ instance: 2, promotionTier: 0 }, { instance: 2 }] }),
    undefined,
    ['spec.instanceOverrides[1]: Duplicate value: {"instance":2}'],
  ],
  [
    'a lag that is none',
    of({ ...GOOD, readers: { maxLag: '10' } }),
    undefined,
    ['spec.readers.maxLag: Invalid value: "10": spec.readers.maxLag in body should match \'^[0-9]*[1-9][0-9]*(ms|s|m|h)$\''],
  ],
];

test.each([...RECORDED, ...EXPECTED])('local-kube refuses as Kubernetes does: %s', (_what, object, old, expected) => {
  // The schema is data, and read-only here; local-kube's type of the same dialect is not.
  const schema = structuredClone(clusterSchema) as unknown as OpenSchema;
  const full = (value: Json): Json => applyDefaults(value, schema);
  const causes = validateCustom(full(object), schema, old === undefined ? undefined : full(old));
  expect(causes.map(({ field, message }) => `${field ?? ''}: ${message}`).toSorted()).toEqual([...expected].toSorted());
});
