import {
  DEFAULTS,
  DRAIN_TIMEOUT_MAX,
  FAILOVER_AFTER_MAX,
  FAILOVER_AFTER_MIN,
  PROMOTION_TIER_MAX,
  SWITCHOVER_DRAIN_MAX,
  WARM_PAGES_PER_SECOND_MAX,
} from './defaults.ts';
import { DURATION_PATTERN } from './duration.ts';
import { RESERVED_ENDPOINTS } from './names.ts';
import type { Schema } from './open-api.ts';
import { listedResources } from './pod-resources-schema.ts';
import { INSTANCES_MAX } from './types.ts';

/** Schemas of what the spec says of instances, who takes the writer's place, and where clients connect. */

/** Bounds are rules and no minimum and maximum, so that a refusal says what to write. */
export const instances: Schema = {
  type: 'integer',
  format: 'int32',
  description:
    'Number of compute pods: one writer, the others readers; 1 to 16. With spec.autoscaling the least there are. The scale subresource changes it.',
  default: DEFAULTS.instances,
  'x-kubernetes-validations': [
    { rule: 'self >= 1', message: 'a cluster has a writer at least: use 1 or more' },
    {
      rule: `self <= ${INSTANCES_MAX}`,
      message: `there is one writer and at most ${INSTANCES_MAX - 1} readers: use ${INSTANCES_MAX} or less`,
    },
  ],
};

export const readers: Schema = {
  type: 'object',
  description: 'Instances that do not write.',
  default: {},
  properties: {
    maxLag: {
      type: 'string',
      description:
        'A reader that is further behind gets no new connections through NAME-ro until it has caught up: 500ms, 30s, 2m. When no reader is within it, NAME-ro leads to the writer.',
      default: DEFAULTS.maxLag,
      pattern: DURATION_PATTERN,
      maxLength: 12,
    },
    drainTimeout: {
      type: 'string',
      description:
        'A reader that is to be no more, since spec.instances or spec.autoscaling asks for fewer, gets no new connections, and is removed once its clients have gone, or after this long: 60s, 10m.',
      default: DEFAULTS.drainTimeout,
      pattern: DURATION_PATTERN,
      maxLength: 12,
      'x-kubernetes-validations': [
        {
          rule: `duration(self) <= duration('${DRAIN_TIMEOUT_MAX}')`,
          message: `a reader would stay for all that time: use at most ${DRAIN_TIMEOUT_MAX}`,
        },
      ],
    },
  },
};

const warmCache: Schema = {
  type: 'object',
  description:
    'The reader that would be the next writer (the lowest promotionTier) fetches what the writer has in its page cache and it has not, so that it need not begin with a cold one. A change reaches instances while they run.',
  default: {},
  properties: {
    enabled: { type: 'boolean', description: 'Whether it does so.', default: DEFAULTS.warmCache },
    pagesPerSecond: {
      type: 'integer',
      format: 'int32',
      description: 'Pages of 8 KiB that it fetches in a second, at most: what this may cost storage and that reader.',
      default: DEFAULTS.warmPagesPerSecond,
      'x-kubernetes-validations': [
        { rule: 'self >= 1', message: 'nothing would be fetched: use 1 or more, or enabled: false' },
        {
          rule: `self <= ${WARM_PAGES_PER_SECOND_MAX}`,
          message: `storage would have no time for anybody else: use at most ${WARM_PAGES_PER_SECOND_MAX}`,
        },
      ],
    },
  },
};

export const failover: Schema = {
  type: 'object',
  description: 'How a reader takes the place of a writer that is lost, or that is to be another one.',
  default: {},
  properties: {
    after: {
      type: 'string',
      description:
        'For so long storage hears nothing of a writer until a reader takes its place: 2s, 1500ms, 1m. A writer whose PostgreSQL is dead is replaced at once. A shorter time takes a machine that stands still for a moment for a lost one. A change reaches instances while they run.',
      default: DEFAULTS.failoverAfter,
      pattern: DURATION_PATTERN,
      maxLength: 12,
      'x-kubernetes-validations': [
        {
          rule: `duration(self) >= duration('${FAILOVER_AFTER_MIN}')`,
          message: `a writer that lives may be silent for half of that: use at least ${FAILOVER_AFTER_MIN}`,
        },
        {
          rule: `duration(self) <= duration('${FAILOVER_AFTER_MAX}')`,
          message: `nobody would write for all that time: use at most ${FAILOVER_AFTER_MAX}`,
        },
      ],
    },
    switchoverDrain: {
      type: 'string',
      description:
        'At a switchover, the transactions that are under way have this long to end before the writer is another: 2s, 500ms. Meanwhile sessions begin none, and wait. What is under way still is rolled back then; 1ms waits for nothing. A change reaches instances while they run.',
      default: DEFAULTS.switchoverDrain,
      pattern: DURATION_PATTERN,
      maxLength: 12,
      'x-kubernetes-validations': [
        {
          rule: `duration(self) <= duration('${SWITCHOVER_DRAIN_MAX}')`,
          message: `nobody would begin a transaction for all that time: use at most ${SWITCHOVER_DRAIN_MAX}`,
        },
      ],
    },
    warmCache,
  },
};

export const instanceOverrides: Schema = {
  type: 'array',
  description: 'What is different for single instances, by their numbers. It counts whenever there is an instance of that number.',
  default: [],
  maxItems: INSTANCES_MAX,
  items: {
    type: 'object',
    required: ['instance'],
    properties: {
      instance: {
        type: 'integer',
        format: 'int32',
        description: `Number of the instance: 2 is NAME-2. From 1 to ${INSTANCES_MAX}.`,
        'x-kubernetes-validations': [
          { rule: `self >= 1 && self <= ${INSTANCES_MAX}`, message: `instances have numbers from 1 to ${INSTANCES_MAX}: use one of them` },
        ],
      },
      promotionTier: {
        type: 'integer',
        format: 'int32',
        description: `Of the readers that are there when a writer is lost, one of the lowest tier takes its place, and of those the one that has replayed the most; 0 to ${PROMOTION_TIER_MAX}, ${DEFAULTS.promotionTier} where nothing is said. A change reaches an instance while it runs.`,
        'x-kubernetes-validations': [
          {
            rule: `self >= 0 && self <= ${PROMOTION_TIER_MAX}`,
            message: `tiers go from 0, which is first, to ${PROMOTION_TIER_MAX}: use one of them`,
          },
        ],
      },
      resources: listedResources("this instance's pod, in place of spec.compute.resources,"),
    },
  },
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': ['instance'],
};

const instanceNumbers = (description: string): Schema => ({
  type: 'array',
  description,
  maxItems: 16,
  items: { type: 'integer', format: 'int32', minimum: 1, maximum: 9999 },
  'x-kubernetes-list-type': 'set',
});

export const endpoints: Schema = {
  type: 'array',
  description: 'Services of their own for some of the instances, beside NAME-rw, NAME-ro and NAME-r.',
  default: [],
  maxItems: 16,
  items: {
    type: 'object',
    required: ['name'],
    properties: {
      name: {
        type: 'string',
        description: "The Service is called NAME-ENDPOINT: the cluster's name, and this.",
        minLength: 1,
        maxLength: 20,
        pattern: '^[a-z]([-a-z0-9]*[a-z0-9])?$',
        'x-kubernetes-validations': [
          {
            rule: `!(self in [${RESERVED_ENDPOINTS.map((name) => `'${name}'`).join(', ')}])`,
            message: 'every cluster has a Service of that name: choose another one',
          },
        ],
      },
      type: {
        type: 'string',
        description: 'Reader: never the writer, and no reader that is further behind than readers.maxLag. Any: whoever is ready.',
        enum: ['Reader', 'Any'],
        default: DEFAULTS.endpointType,
      },
      instances: instanceNumbers('Numbers of its instances: 2 is NAME-2. All when absent.'),
      excludedInstances: instanceNumbers('Numbers of instances that it leaves out; others that are added later are in it.'),
    },
    'x-kubernetes-validations': [
      {
        rule: '!has(self.instances) || !has(self.excludedInstances)',
        message: 'name the instances that are in it, or those that are not: instances or excludedInstances',
      },
    ],
  },
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': ['name'],
};
