import { durationMs, formatMs } from '../api/duration.ts';
import { instanceSettings } from '../api/instance-settings.ts';
import { quantityValue } from '../api/quantity.ts';
import type { AuroraClusterSpec } from '../api/types.ts';
import type { AutoscalingState, AutoscalingStatus } from '../api/status-types.ts';
import { timeMs } from '../kube/objects.ts';
import { freshAgent, type Observed } from '../observed/observed.ts';
import { EMPTY_PLAN, type Plan } from './actions.ts';
import { autoscale, averageLoad, LOAD_METRICS, type AutoscalingDecision, type AutoscalingRules, type ReaderLoad } from './autoscale.ts';
import { instanceBounds } from './instance-count.ts';
import { readersOf, type Instance } from './plan-instances.ts';

export interface AutoscalingPlan extends Plan {
  /** What the status is to say; what it says of instances is what is carried out from the next look on. */
  readonly autoscaling?: AutoscalingStatus;
}

const STATE: Readonly<Record<AutoscalingDecision['kind'], AutoscalingState>> = {
  bounded: 'Steady',
  steady: 'Steady',
  out: 'ScalingOut',
  in: 'ScalingIn',
  coolingDown: 'CoolingDown',
  low: 'WaitingToScaleIn',
  atMax: 'AtMaximum',
  missing: 'FiguresMissing',
};

/** How many instances there are to be from now on, where spec.autoscaling is. Nothing is decided before there is a database to read. */
export function planAutoscaling(observed: Observed): AutoscalingPlan {
  const { cluster, now } = observed;
  const spec = cluster.spec.autoscaling;
  const bounds = instanceBounds(cluster.spec);
  if (spec === undefined || bounds === undefined || cluster.status?.firstReadyAt === undefined) return EMPTY_PLAN;
  const before = cluster.status.autoscaling;
  const rules: AutoscalingRules = {
    ...bounds,
    targets: spec.target,
    scaleOutCooldownMs: durationMs(spec.scaleOutCooldown) ?? 0,
    scaleInCooldownMs: durationMs(spec.scaleInCooldown) ?? 0,
  };
  const readers = readersOf(observed);
  const loads = readers.map((reader) => readerLoad(observed, reader));
  // As it was decided, so that narrower bounds are told as a change.
  const instances = before?.desiredInstances ?? cluster.spec.instances;
  const decision = autoscale(rules, {
    instances,
    loads,
    lastScaleOutAt: timeMs(before?.lastScaleOutAt),
    lowSince: timeMs(before?.lowSince),
    now,
  });
  const figures = inFigures(rules, loads);
  const state = STATE[decision.kind];
  const at = new Date(now).toISOString();
  const hasChanged = decision.instances !== instances;
  const message = inWords(observed, { decision, instances, rules, figures, readers, loads });
  const [connections, cpuUtilization] = LOAD_METRICS.map((metric) => averageLoad(loads, metric));
  const lastScaleOutAt = decision.kind === 'out' ? at : before?.lastScaleOutAt;
  const lastScaleInAt = decision.kind === 'in' ? at : before?.lastScaleInAt;
  const lastScaling = hasChanged ? message : before?.lastScaling;
  return {
    ...EMPTY_PLAN,
    autoscaling: {
      desiredInstances: decision.instances,
      minInstances: rules.min,
      maxInstances: rules.max,
      state,
      since: before?.state === state && before.since !== undefined ? before.since : at,
      message,
      ...(connections === undefined ? {} : { connections: Math.round(connections) }),
      ...(cpuUtilization === undefined ? {} : { cpuUtilization: Math.round(cpuUtilization) }),
      ...(decision.lowSince === undefined ? {} : { lowSince: new Date(decision.lowSince).toISOString() }),
      ...(lastScaleOutAt === undefined ? {} : { lastScaleOutAt }),
      ...(lastScaleInAt === undefined ? {} : { lastScaleInAt }),
      ...(lastScaling === undefined ? {} : { lastScaling }),
    },
    // What was decided is in the status by then, and is carried out.
    ...(hasChanged ? { againInMs: 0 } : decision.againInMs === undefined ? {} : { againInMs: decision.againInMs + 1 }),
  };
}

/** What a reader's agent says now that it has to do; undefined when it says nothing, or does not serve. */
function readerLoad(observed: Observed, { pod, ordinal }: Instance): ReaderLoad | undefined {
  const report = freshAgent(observed, pod);
  if (report?.phase !== 'running' || report.load === undefined) return undefined;
  const { connections, cpuMillicores, cpus } = report.load;
  const { resources } = instanceSettings(observed.cluster.spec, ordinal);
  const given = resources?.requests?.['cpu'] ?? resources?.limits?.['cpu'];
  // As the pod would be scheduled: a request of nothing is none.
  const cores = quantityValue(String(given ?? '')) || cpus;
  return { connections, cpuUtilization: cpuMillicores / 10 / cores };
}

const NAME = { connections: 'connections', cpuUtilization: '% CPU' } as const;

function inFigures({ targets }: AutoscalingRules, loads: readonly (ReaderLoad | undefined)[]): string {
  return LOAD_METRICS.flatMap((metric) => {
    const [target, average] = [targets[metric], averageLoad(loads, metric)];
    if (target === undefined || average === undefined) return [];
    const unit = metric === 'connections' ? ` ${NAME[metric]}` : NAME[metric];
    return [`a reader has ${Math.round(average)}${unit} on average, and ${target} are the target`];
  }).join('; ');
}

interface Told {
  readonly decision: AutoscalingDecision;
  readonly instances: number;
  readonly rules: AutoscalingRules;
  readonly figures: string;
  readonly readers: readonly Instance[];
  readonly loads: readonly (ReaderLoad | undefined)[];
}

function whoseLeast({ instances, autoscaling }: AuroraClusterSpec): string {
  return instances > (autoscaling?.minInstances ?? 0) ? 'spec.instances' : 'spec.autoscaling.minInstances';
}

/** Why instances are what they are to be, for people. */
function inWords({ cluster: { spec }, now }: Observed, { decision, instances, rules, figures, readers, loads }: Told): string {
  const { kind, instances: to, wanted, lowSince, againInMs = 0 } = decision;
  switch (kind) {
    case 'bounded':
      return `${instances} instances become ${to}: there are to be ${rules.min} to ${rules.max}`;
    case 'out':
      return `${instances} instances become ${to}: ${figures}${wanted > to ? `; ${wanted} would be needed, and ${rules.max} are the most` : ''}`;
    case 'in':
      return `${instances} instances become ${to}: ${figures}; ${wanted} have been enough for ${formatMs(rules.scaleInCooldownMs)}`;
    case 'coolingDown':
      return `${wanted} instances are needed (${figures}); the last were added not long ago: more are from in ${formatMs(againInMs)} on`;
    case 'atMax':
      return `${wanted} instances are needed (${figures}), and ${rules.max} are the most: raise spec.autoscaling.maxInstances`;
    case 'low':
      return `${wanted} instances are enough (${figures}) since ${new Date(lowSince ?? now).toISOString()}: one goes when they are for ${formatMs(rules.scaleInCooldownMs)}`;
    case 'missing': {
      const silent = readers.filter((_, index) => loads[index] === undefined).map(({ name }) => name);
      return `${silent.join(', ')} ${silent.length === 1 ? 'does' : 'do'} not say what there is to do: no reader is removed${figures === '' ? '' : `; ${figures}`}`;
    }
    case 'steady':
      return `${figures}${instances === rules.min ? `; ${rules.min} instances are the least (${whoseLeast(spec)})` : ''}`;
  }
}
