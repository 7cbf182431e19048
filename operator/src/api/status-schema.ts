import { autoscalingStatus } from './autoscaling-schema.ts';
import { CONDITION_REASONS, CONDITION_TYPES, PHASES } from './conditions.ts';
import { failover, lostSlot, switchover } from './handover-status-schema.ts';
import type { Schema } from './open-api.ts';
import { ADVICE_MAX, ADVICE_SEVERITIES, INSTANCE_PHASES, INSTANCE_STATES, SEGMENT_STATES, STAND_IN_REASONS } from './status-types.ts';

/** The schema of an AuroraCluster's status. */

const condition: Schema = {
  type: 'object',
  required: ['type', 'status', 'reason', 'message', 'lastTransitionTime'],
  properties: {
    type: { type: 'string', description: 'What the condition is about.', enum: CONDITION_TYPES },
    status: { type: 'string', description: 'Whether it is so.', enum: ['True', 'False', 'Unknown'] },
    reason: { type: 'string', description: 'Why, as one word.', enum: CONDITION_REASONS },
    message: { type: 'string', description: 'Why, as a sentence, and what to do about it.' },
    observedGeneration: { type: 'integer', format: 'int64', description: 'metadata.generation that this is about.' },
    lastTransitionTime: { type: 'string', format: 'date-time', description: 'When status last changed.' },
  },
};

const advice: Schema = {
  type: 'array',
  description:
    'What an administrator would do in the database, as the writer finds by looking around every ten minutes, and for its disks, as they fill; most urgent first. It says nothing of whether the cluster works.',
  maxItems: ADVICE_MAX,
  items: {
    type: 'object',
    required: ['id', 'severity', 'what', 'since', 'remedy', 'query'],
    properties: {
      id: { type: 'string', description: 'What kind of finding it is: transactionIds, deadRows, unusedIndex ...', maxLength: 64 },
      severity: {
        type: 'string',
        description: 'critical: it stops, or is about to. hint: it would be better otherwise.',
        enum: ADVICE_SEVERITIES,
      },
      subject: {
        type: 'string',
        description: "A database, and a table or an index in it; storage: the daemons' disks. Absent: all of PostgreSQL.",
        maxLength: 500,
      },
      what: { type: 'string', description: 'What was found.', maxLength: 1000 },
      since: { type: 'string', format: 'date-time', description: 'When it was first found.' },
      remedy: { type: 'string', description: 'What to do about it.', maxLength: 1000 },
      query: { type: 'string', description: 'SQL, or a command, to see it oneself.', maxLength: 4096 },
    },
  },
  'x-kubernetes-list-type': 'atomic',
};

const instance: Schema = {
  type: 'object',
  required: ['name'],
  properties: {
    name: { type: 'string', description: 'Pod.' },
    role: { type: 'string', description: 'writer or reader.', enum: ['writer', 'reader'] },
    state: {
      type: 'string',
      description:
        'How it serves. Starting: it has not served yet. Lagging: a reader that is further behind than spec.readers.maxLag. Lost: it served, and does not.',
      enum: INSTANCE_STATES,
    },
    since: { type: 'string', format: 'date-time', description: 'Since when its state is what it is.' },
    zone: { type: 'string', description: 'Zone it runs in.' },
    node: { type: 'string', description: 'Node it runs on.' },
    phase: {
      type: 'string',
      description: 'What the agent says of itself; Pending or Unreachable when it cannot be asked.',
      enum: INSTANCE_PHASES,
    },
    reason: { type: 'string', description: 'Why it is in that phase, as one word: postgresFailed, waitingForStorage ...', maxLength: 64 },
    ready: { type: 'boolean', description: 'Whether it takes connections.' },
    restarts: { type: 'integer', description: 'How often its container was started again in place.' },
    message: { type: 'string', description: "Why it does not serve, in its agent's words.", maxLength: 1000 },
    epoch: { type: 'integer', format: 'int64', description: 'Volume epoch it opened with.' },
    replayLsn: { type: 'string', description: 'Of a reader: it shows the database as of this LSN.' },
    lagMs: {
      type: 'integer',
      format: 'int64',
      description: 'Of a reader: milliseconds that it is behind; 0 when it shows all that is durable.',
    },
    startedAt: { type: 'string', description: 'When its agent started.' },
    promotionTier: { type: 'integer', description: "Its turn to take a lost writer's place, as its agent has it: 0 is first." },
    cacheWarmPercent: {
      type: 'integer',
      description:
        "Of the reader that would be the next writer: of the pages in the writer's cache, how many of a hundred are in its own. See spec.failover.warmCache.",
    },
  },
};

const credential: Schema = {
  type: 'object',
  required: ['role', 'secret', 'state'],
  properties: {
    role: { type: 'string', description: 'The role.' },
    secret: { type: 'string', description: 'Secret that its password comes from.' },
    state: {
      type: 'string',
      description:
        'Applied: the role has the password that the Secret holds. Missing, Empty: the Secret; the role keeps the password it has.',
      enum: ['Applied', 'Pending', 'Missing', 'Empty', 'Failed'],
    },
    passwordChangedAt: { type: 'string', description: 'When a changed password was last given to the role.' },
    message: { type: 'string', description: 'Why it failed.' },
  },
};

const segment: Schema = {
  type: 'object',
  required: ['id'],
  properties: {
    id: { type: 'string', description: 'Segment, which is also the name of its pod and claim.' },
    zone: { type: 'string', description: 'Zone it stands in.' },
    role: { type: 'string', description: 'FULL: it holds redo and pages. TAIL: redo alone.', enum: ['FULL', 'TAIL'] },
    node: { type: 'string', description: 'Node it runs on.' },
    ready: { type: 'boolean', description: 'Whether its pod is ready.' },
    state: { type: 'string', description: 'What its daemon says of it; UNREACHABLE when it cannot be asked.', enum: SEGMENT_STATES },
    sound: {
      type: 'boolean',
      description: 'Whether its daemon says that it holds all that it ever acknowledged. Three such copies have every acknowledged commit.',
    },
    fault: {
      type: 'string',
      description: 'What is wrong with it, as one word: DISK_FULL, DAMAGED_DATA ... Absent while it is sound.',
      maxLength: 64,
    },
    message: { type: 'string', description: "What is wrong with it, in its daemon's words.", maxLength: 1000 },
    scl: { type: 'string', description: 'Segment complete LSN: it has all redo up to here.' },
    behindBytes: { type: 'integer', format: 'int64', description: 'Redo it has yet to get, in bytes.' },
    bytesUsed: { type: 'integer', format: 'int64', description: 'Bytes it holds on disk.' },
    standIn: {
      type: 'object',
      description: "Of a tail that holds pages in the place of its zone's full segment. It counts as a tail all the same.",
      properties: {
        of: { type: 'string', description: 'That full segment.' },
        since: { type: 'string', format: 'date-time', description: 'When it had all pages.' },
        reason: {
          type: 'string',
          description: 'Why: the full segment did not answer, held nothing, was damaged, or its disk was full or failed.',
          enum: STAND_IN_REASONS,
        },
      },
    },
    size: { type: 'string', description: 'What its claim has.', maxLength: 32 },
  },
};

export const statusSchema: Schema = {
  type: 'object',
  description: 'What the operator last saw. Written by the operator only.',
  properties: {
    observedGeneration: { type: 'integer', format: 'int64', description: 'metadata.generation that this status is about.' },
    phase: { type: 'string', description: 'How the cluster is, in one word.', enum: PHASES },
    message: { type: 'string', description: 'The phase as a sentence, and what to do when something is to be done.' },
    volumeId: { type: 'string', description: 'UUID of the volume.' },
    writer: { type: 'string', description: 'Pod that writes.' },
    firstReadyAt: { type: 'string', format: 'date-time', description: 'When a writer first took connections.' },
    epoch: { type: 'integer', format: 'int64', description: 'Volume epoch: it grows by one each time a writer opens the volume.' },
    vdl: { type: 'string', description: 'Volume durable LSN: everything up to here is safe on a write quorum of copies.' },
    instances: {
      type: 'array',
      description: 'The compute pods.',
      items: instance,
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
    },
    compute: {
      type: 'object',
      description: 'The compute pods together.',
      properties: {
        summary: { type: 'string', description: 'Instances that serve, of all: 2/2.' },
        pods: { type: 'integer', description: 'Compute pods that there are.' },
        ready: { type: 'integer', description: 'Instances that serve.' },
        desired: { type: 'integer', description: 'Instances there should be.' },
        selector: { type: 'string', description: 'Label selector of the compute pods.' },
        lag: { type: 'string', description: 'Lag of the reader that is furthest behind.' },
        readOnly: {
          type: 'array',
          description: 'Instances that the Service NAME-ro leads to.',
          items: { type: 'string' },
          'x-kubernetes-list-type': 'atomic',
        },
        leaving: {
          type: 'array',
          description: 'Readers that are to be no more, and whose sessions have time to end.',
          items: { type: 'string' },
          'x-kubernetes-list-type': 'atomic',
        },
      },
    },
    autoscaling: autoscalingStatus,
    switchover,
    failover,
    lostReplicationSlots: {
      type: 'array',
      description:
        'Replication slots that the writer before had and the present one has not. Whoever read them gets nothing by them: make them anew.',
      items: lostSlot,
      'x-kubernetes-list-type': 'atomic',
    },
    storage: {
      type: 'object',
      description: 'The volume.',
      properties: {
        summary: { type: 'string', description: 'Segments that are ready, of all: 6/6.' },
        ready: { type: 'integer', description: 'Segments that are ready.' },
        desired: { type: 'integer', description: 'Segments there should be.' },
        initialized: { type: 'boolean', description: 'Whether the volume holds a database.' },
        bytesUsed: { type: 'integer', format: 'int64', description: 'Bytes that all segments together hold.' },
        encryption: {
          type: 'object',
          description: 'How what is stored is encrypted; absent where it is not.',
          properties: {
            secret: { type: 'string', description: 'Secret with the key.' },
            key: { type: 'string', description: 'Its entry that wraps.' },
            kms: { type: 'string', description: 'Image of the plugin, where a key of a KMS wraps.' },
            wrappedBy: {
              type: 'array',
              description:
                "Names of the keys that wrap the copies' data keys, fingerprints of those of Secrets and kms:ID of those of a KMS: more than one while the key is rotated. A key whose name is not here any more, with all copies answering, is needed no more.",
              items: { type: 'string', maxLength: 1100 },
              'x-kubernetes-list-type': 'set',
            },
          },
        },
        segments: {
          type: 'array',
          description: 'The six copies.',
          items: segment,
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['id'],
        },
      },
    },
    endpoints: {
      type: 'object',
      description: 'Where to connect.',
      properties: {
        readWrite: { type: 'string', description: 'host:port of the writer, for psql and drivers.' },
        readOnly: { type: 'string', description: 'host:port of readers, for reads; of the writer when no reader can be read.' },
        read: { type: 'string', description: 'host:port of all instances, for reads.' },
        storage: { type: 'string', description: 'Headless Service of the storage daemons.' },
        custom: {
          type: 'array',
          description: 'The endpoints of spec.endpoints.',
          items: {
            type: 'object',
            required: ['name'],
            properties: {
              name: { type: 'string', description: 'Its name.' },
              address: { type: 'string', description: 'host:port.' },
              instances: {
                type: 'array',
                description: 'Instances that it leads to now.',
                items: { type: 'string' },
                'x-kubernetes-list-type': 'atomic',
              },
            },
          },
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['name'],
        },
      },
    },
    secrets: {
      type: 'object',
      description: 'Secrets with user names and passwords.',
      properties: {
        superuser: { type: 'string', description: 'For the role postgres.' },
        app: { type: 'string', description: 'For the application.' },
      },
    },
    advice,
    credentials: {
      type: 'array',
      description: "The roles' passwords.",
      items: credential,
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['role'],
    },
    tokenLogins: {
      type: 'object',
      description: 'Where a token of a ServiceAccount is a password, while spec.postgresql.logins names somebody.',
      properties: {
        endpoint: { type: 'string', description: 'HOST:PORT of the writer; the other Services have the same port.' },
        audience: { type: 'string', description: 'For whom a token has to be issued.' },
      },
    },
    certificates: {
      type: 'object',
      description: 'By what the programs of the cluster prove who they are.',
      properties: {
        mode: {
          type: 'string',
          description: 'How they speak: require is TLS alone; permit and prefer are on the way there from plain text.',
          enum: ['permit', 'prefer', 'require'],
        },
        authority: {
          type: 'object',
          description: 'The authority that issues.',
          properties: {
            secret: { type: 'string', description: 'Secret that holds it, for the operator alone.' },
            validUntil: { type: 'string', format: 'date-time', description: 'When it ends.' },
            renewedAt: { type: 'string', format: 'date-time', description: 'When another begins to take its place.' },
          },
        },
        rotation: {
          type: 'string',
          description: 'While another takes its place: Announced until every program knows the new one, then IssuingByNew.',
          enum: ['Announced', 'IssuingByNew'],
        },
        programs: {
          type: 'array',
          description: 'Certificates, by the role of who shows them.',
          items: {
            type: 'object',
            required: ['role'],
            properties: {
              role: { type: 'string', description: 'storage, compute, operator, or server: what PostgreSQL shows to clients.' },
              secret: { type: 'string', description: 'Secret that holds it.' },
              validUntil: { type: 'string', format: 'date-time', description: 'When it ends; it is renewed after two thirds of its time.' },
            },
          },
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['role'],
        },
      },
    },
    conditions: {
      type: 'array',
      description: 'Conditions in detail.',
      items: condition,
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['type'],
    },
  },
};
