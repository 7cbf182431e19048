import { COOLDOWN_MAX, DEFAULTS } from './defaults.ts';
import { DURATION_PATTERN } from './duration.ts';
import type { Schema } from './open-api.ts';
import { INSTANCES_MAX } from './types.ts';
import { AUTOSCALING_STATES } from './status-types.ts';

/** Schemas of spec.autoscaling and of what the status says of it. Bounds are rules, so that a refusal says what to write. */

const bound = (description: string, least: number, tooFew: string): Schema => ({
  type: 'integer',
  format: 'int32',
  description,
  'x-kubernetes-validations': [
    { rule: `self >= ${least}`, message: tooFew },
    {
      rule: `self <= ${INSTANCES_MAX}`,
      message: `there is one writer and at most ${INSTANCES_MAX - 1} readers: use ${INSTANCES_MAX} or less`,
    },
  ],
});

const cooldown = (description: string): Schema => ({
  type: 'string',
  description: `${description} 30s, 5m. At most ${COOLDOWN_MAX}.`,
  default: DEFAULTS.cooldown,
  pattern: DURATION_PATTERN,
  maxLength: 12,
  'x-kubernetes-validations': [
    {
      rule: `duration(self) <= duration('${COOLDOWN_MAX}')`,
      message: `nothing would be scaled for all that time: use at most ${COOLDOWN_MAX}`,
    },
  ],
});

/** A target above 0, or the rule that says so. */
const target = (description: string, most: number, what: string): Schema => ({
  type: 'integer',
  format: 'int32',
  description,
  'x-kubernetes-validations': [{ rule: `self >= 1 && self <= ${most}`, message: `${what}: use a number from 1 to ${most}` }],
});

export const CONNECTIONS_TARGET_MAX = 100_000;
export const CPU_TARGET_MAX = 100;

export const autoscaling: Schema = {
  type: 'object',
  description:
    'Adds readers while there is much to do, and removes them when there is little. spec.instances is then the least there are, beside minInstances: the higher of the two counts.',
  required: ['maxInstances', 'target'],
  properties: {
    minInstances: {
      ...bound(
        'Instances that there are at least, the writer among them: from 2, since what is measured are readers.',
        2,
        'what is measured are readers: use 2 or more, a writer and a reader',
      ),
      default: DEFAULTS.minInstances,
    },
    maxInstances: bound(
      `Instances that there are at most, the writer among them: up to ${INSTANCES_MAX}.`,
      2,
      'there is to be room for a reader: use 2 or more, a writer and a reader',
    ),
    target: {
      type: 'object',
      description: 'What readers are to have to do on average. With both, whichever asks for more readers counts.',
      properties: {
        connections: target(
          'Connections of clients to each reader.',
          CONNECTIONS_TARGET_MAX,
          'that many connections to each reader are no target',
        ),
        cpuUtilization: target(
          "CPU that each reader takes, in percent of its resources.requests.cpu (of limits.cpu where there is no request, of the node's cores where there is neither).",
          CPU_TARGET_MAX,
          'it is a percentage of the CPU that a reader has',
        ),
      },
      'x-kubernetes-validations': [
        {
          rule: 'has(self.connections) || has(self.cpuUtilization)',
          message: 'name what readers are to have: connections, cpuUtilization, or both',
        },
      ],
    },
    scaleOutCooldown: cooldown('After readers were added no more are for this long:'),
    scaleInCooldown: cooldown(
      'A reader is removed once fewer have been enough for this long, without a break; then the next one after as long again:',
    ),
  },
  'x-kubernetes-validations': [{ rule: 'self.minInstances <= self.maxInstances', message: 'minInstances must not be above maxInstances' }],
};

/** Over the whole spec: kubectl scale, too, is told so. */
export const instancesWithinAutoscaling = {
  rule: '!has(self.autoscaling) || self.instances <= self.autoscaling.maxInstances',
  message: 'instances must not be above autoscaling.maxInstances: raise that, or lower instances',
} as const;

const when = (description: string): Schema => ({ type: 'string', format: 'date-time', description });

export const autoscalingStatus: Schema = {
  type: 'object',
  description: 'Of spec.autoscaling: how many instances there are to be, and why.',
  required: ['desiredInstances'],
  properties: {
    desiredInstances: { type: 'integer', description: 'Instances that there are to be now.' },
    minInstances: { type: 'integer', description: 'The least: the higher one of spec.instances and autoscaling.minInstances.' },
    maxInstances: { type: 'integer', description: 'The most.' },
    state: {
      type: 'string',
      description:
        'Steady: as many as the target asks for. ScalingOut, ScalingIn: just decided. CoolingDown: more are needed, and the last ones were added not long ago. WaitingToScaleIn: fewer have been enough since lowSince. AtMaximum: more are needed than there may be. FiguresMissing: a reader does not say what it has to do, so none is removed.',
      enum: AUTOSCALING_STATES,
    },
    since: when('Since when the state is what it is.'),
    message: { type: 'string', description: 'The state as a sentence, with the figures.', maxLength: 500 },
    connections: { type: 'integer', description: 'Connections of clients to a reader, on average.' },
    cpuUtilization: { type: 'integer', description: 'CPU that a reader takes, in percent, on average.' },
    lowSince: when('Since when fewer instances would be enough; absent when they would not.'),
    lastScaleOutAt: when('When instances were last added.'),
    lastScaleInAt: when('When one was last removed.'),
    lastScaling: { type: 'string', description: 'What was last decided, and why.', maxLength: 500 },
  },
};
