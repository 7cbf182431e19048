import { DEFAULTS, STAND_IN_AFTER_SECONDS_MAX } from './defaults.ts';
import { autoscaling, instancesWithinAutoscaling } from './autoscaling-schema.ts';
import { cacheProperties, cacheRules } from './cache-schema.ts';
import { encryption, keepsEncryption } from './encryption-schema.ts';
import { bootstrap, keepsItsBeginning } from './bootstrap-schema.ts';
import { endpoints, failover, instanceOverrides, instances, readers } from './instances-schema.ts';
import { inheritedMetadata, services } from './metadata-schema.ts';
import { logins } from './logins.ts';
import type { Schema } from './open-api.ts';
import { placementProperties } from './placement-schema.ts';
import { memoryLimitRule, resources } from './pod-resources-schema.ts';
import { DAEMON_MEMORY_LIMIT_MIN, SIZE_MAX, SIZE_MIN, SIZE_PATTERN } from './quantity.ts';
import { secretReference } from './secret-reference.ts';
import { statusSchema } from './status-schema.ts';

/**
 * OpenAPI v3 structural schema of AuroraCluster: its spec here, its status in status-schema.ts.
 * Source of the dialect:
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/ Rules in CEL
 * (x-kubernetes-validations) say what patterns cannot; quantity() in them needs Kubernetes 1.29.
 */

const image = (what: string): Schema => ({
  type: 'string',
  description: `Image of the ${what}. The operator's own default when absent.`,
  minLength: 1,
  maxLength: 512,
  pattern: '^\\S+$',
});

const storage: Schema = {
  type: 'object',
  description:
    'The volume: six copies, two in each of three zones. A write counts once four of them hold it (or, with mixed copies, the three full ones).',
  required: ['size'],
  'x-kubernetes-validations': [keepsEncryption],
  properties: {
    size: {
      type: 'string',
      description: 'Size of each of the six persistent volume claims, for example 10Gi. It can grow and never shrink.',
      pattern: SIZE_PATTERN,
      maxLength: 20,
      'x-kubernetes-validations': [
        {
          rule: `!isQuantity(self) || quantity(self).compareTo(quantity('${SIZE_MIN}')) >= 0`,
          message: `too small for a redo log and a database: use at least ${SIZE_MIN}`,
        },
        {
          rule: `!isQuantity(self) || quantity(self).compareTo(quantity('${SIZE_MAX}')) <= 0`,
          message: `larger than any volume: use at most ${SIZE_MAX}`,
        },
        {
          rule: '!isQuantity(self) || quantity(self).compareTo(quantity(oldSelf)) >= 0',
          message: 'volumes grow and never shrink: keep the size, or give a larger one',
        },
      ],
    },
    storageClassName: {
      type: 'string',
      description: "StorageClass of the claims; the cluster's default when absent. Counts for claims made from now on.",
      minLength: 1,
      maxLength: 253,
    },
    zones: {
      type: 'array',
      description:
        'Three different zones, as the nodes carry them in their label topology.kubernetes.io/zone. Copies stay where they are, so the zones of a cluster cannot change.',
      default: DEFAULTS.zones,
      minItems: 3,
      maxItems: 3,
      items: { type: 'string', minLength: 1, maxLength: 63, pattern: '^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$' },
      'x-kubernetes-list-type': 'set',
      'x-kubernetes-validations': [
        { rule: 'self == oldSelf', message: 'copies stay in the zones they were made in: put the old zones back' },
      ],
    },
    copies: {
      type: 'string',
      description:
        'What the six copies are. Full: each holds redo and pages. Mixed: in each zone one holds redo and pages, and one redo alone, for about half the disk; any four of them make a write durable, or the three full ones. A zone and one more may be lost with either. Decided when the volume is made.',
      enum: ['Full', 'Mixed'],
      default: DEFAULTS.copies,
      'x-kubernetes-validations': [
        { rule: 'self == oldSelf', message: 'a volume keeps the copies that it was made with: put the old value back' },
      ],
    },
    standInAfterSeconds: {
      type: 'integer',
      description:
        "With mixed copies: after so many seconds in which a zone's full copy is away, or takes no redo, the zone's other copy takes a copy of the pages and holds them in its place, until it is back. Meanwhile that copy needs as much disk as a full one, and the other zones need not keep all redo for the one that is away. 0: never.",
      minimum: 0,
      maximum: STAND_IN_AFTER_SECONDS_MAX,
      default: DEFAULTS.standInAfterSeconds,
    },
    encryption,
    reclaimPolicy: {
      type: 'string',
      description:
        'What becomes of the data when the cluster is deleted. Retain keeps the claims, and the same manifest applied again finds them; Delete removes them.',
      enum: ['Retain', 'Delete'],
      default: DEFAULTS.reclaimPolicy,
    },
    resources: resources('each storage pod', DEFAULTS.storageResources, [
      memoryLimitRule(DAEMON_MEMORY_LIMIT_MIN, `too little for a storage daemon: give limits.memory at least ${DAEMON_MEMORY_LIMIT_MIN}`),
    ]),
    ...placementProperties,
  },
};

const spec: Schema = {
  type: 'object',
  description: 'What the cluster should be.',
  required: ['storage'],
  'x-kubernetes-validations': [instancesWithinAutoscaling],
  properties: {
    postgresVersion: { type: 'string', description: 'Major version of PostgreSQL.', enum: ['18'], default: DEFAULTS.postgresVersion },
    instances,
    replicas: {
      type: 'integer',
      description: 'Was renamed: write instances. It is refused, so that nobody takes it for carried out.',
      'x-kubernetes-validations': [
        { rule: 'false', message: 'it was renamed: write spec.instances in its place', reason: 'FieldValueForbidden' },
      ],
    },
    deletionProtection: {
      type: 'boolean',
      description:
        'Whoever deletes this cluster is refused while it is true: a ValidatingAdmissionPolicy says so, or, where there is none, the operator holds the cluster and goes on with it. Its namespace can be deleted all the same.',
      default: DEFAULTS.deletionProtection,
    },
    readers,
    autoscaling,
    failover,
    instanceOverrides,
    endpoints,
    storage,
    bootstrap,
    superuserSecret: secretReference('Secret of type kubernetes.io/basic-auth for the role postgres. Made as NAME-superuser when absent.'),
    postgresql: {
      type: 'object',
      description: 'Settings of PostgreSQL itself.',
      default: {},
      properties: {
        parameters: {
          type: 'object',
          description:
            'PostgreSQL settings by name, values always in quotes: work_mem: "64MB". Those that kube-aurora sets itself (fsync, archive_mode, port ...) are left out, and the condition SpecAccepted names them.',
          default: {},
          maxProperties: 400,
          additionalProperties: { type: 'string', maxLength: 16384 },
        },
        pg_hba: {
          type: 'array',
          description:
            'Lines of pg_hba.conf, one an item: who may log in from where, and how. They stand before ours, which let everybody in who has a password (SCRAM), from everywhere; the first line that fits counts. For example: hostssl app app 10.0.0.0/8 cert. They take effect without a restart; a line that is wrong refuses the whole manifest.',
          default: [],
          maxItems: 200,
          items: { type: 'string', minLength: 1, maxLength: 2048, pattern: '^\\s*(host|hostssl|hostnossl)\\s' },
          'x-kubernetes-list-type': 'atomic',
        },
        requireTLS: {
          type: 'boolean',
          description: 'Refuse who connects without TLS. Everybody may connect with it anyway.',
          default: DEFAULTS.requireTLS,
        },
        logins,
      },
    },
    certificates: {
      type: 'object',
      description: 'By what the programs of the cluster, and its server, prove who they are.',
      default: {},
      properties: {
        authoritySecret: secretReference(
          'Secret with the certificate authority that issues them, kept by somebody else, cert-manager say: tls.crt and tls.key, or ca.crt and ca.key. When absent the operator makes one and replaces it in time.',
        ),
        clientCASecret: secretReference(
          "Secret whose key ca.crt holds the authority whose certificates clients may log in with, where a line of postgresql.pg_hba says so. The cluster's own authority when absent.",
        ),
      },
    },
    compute: {
      type: 'object',
      description: 'The pods that run PostgreSQL. They hold no data.',
      default: {},
      properties: {
        resources: resources('each compute pod', DEFAULTS.computeResources),
        ...cacheProperties,
        ...placementProperties,
      },
      'x-kubernetes-validations': cacheRules,
    },
    monitoring: {
      type: 'object',
      description: 'What there is to see of the database beside what all clusters show.',
      default: {},
      properties: {
        customQueriesConfigMap: {
          type: 'object',
          description:
            'A ConfigMap in the same namespace whose keys are YAML files of queries: by name the query and its columns, as for CloudNativePG. Their answers become metrics aurora_custom_NAME_COLUMN of each instance. What it holds may change at any time; naming it, or another, makes the compute pods anew, one at a time.',
          required: ['name'],
          properties: {
            name: {
              type: 'string',
              description: 'Name of the ConfigMap.',
              minLength: 1,
              maxLength: 253,
              pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$',
            },
          },
        },
      },
    },
    images: {
      type: 'object',
      description: "Images to run instead of the operator's defaults.",
      default: {},
      properties: { storageDaemon: image('storage daemon'), computeNode: image('compute node') },
    },
    imagePullPolicy: {
      type: 'string',
      description:
        'When nodes pull images. Like imagePullSecrets it counts for pods made from now on; one that waits for its image is made anew.',
      enum: ['Always', 'IfNotPresent', 'Never'],
      default: DEFAULTS.imagePullPolicy,
    },
    imagePullSecrets: {
      type: 'array',
      description: 'Secrets of type kubernetes.io/dockerconfigjson in the same namespace, for registries that ask who pulls.',
      default: [],
      maxItems: 16,
      items: secretReference('Such a Secret.'),
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
    },
    inheritedMetadata,
    services,
  },
};

export const clusterSchema: Schema = {
  type: 'object',
  description: 'AuroraCluster is a PostgreSQL database on a six-copy, three-zone volume.',
  required: ['spec'],
  'x-kubernetes-validations': [keepsItsBeginning],
  properties: {
    apiVersion: { type: 'string', description: 'Version of the schema of this object.' },
    kind: { type: 'string', description: 'AuroraCluster.' },
    metadata: {
      type: 'object',
      properties: { name: { type: 'string', maxLength: 40, pattern: '^[a-z]([-a-z0-9]*[a-z0-9])?$' } },
    },
    spec,
    status: statusSchema,
  },
};
