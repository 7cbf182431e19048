import { formatMs } from '../api/duration.ts';
import { ANNOTATION } from '../api/names.ts';
import type { AuroraCluster } from '../api/types.ts';
import type { SwitchoverCause, SwitchoverStatus, SwitchoverTransactions } from '../api/status-types.ts';
import { isPodReady, isTerminating } from '../kube/objects.ts';
import { computeState, freshAgent, type Observed } from '../observed/observed.ts';
import { EMPTY_PLAN, type Action, type Plan } from './actions.ts';
import { planInstances, writerOf } from './plan-instances.ts';
import { isLagging, readerLagMs } from './read-endpoint.ts';

/** A reader that has not taken the writer's place by then is not waited for; should it yet do so, the status follows it. */
const SWITCHOVER_MS = 30_000;
/** An agent that did not answer is asked again after this. */
const ASK_AGAIN_MS = 1_000;

export interface SwitchoverPlan extends Plan {
  /** What the status is to say; undefined where there never was one. */
  readonly switchover?: SwitchoverStatus;
}

/**
 * The writer's place is given to a reader on purpose: because a person asks for it, by an annotation, or because the
 * writer's pod is to be replaced (`update` names who is to write). One at a time, and what a person asks goes first.
 *
 * The operator asks that reader's agent and watches; it fences nobody. Whoever is asked opens the volume as after a
 * failure, so that a switchover which is cut short anywhere leaves one writer, the old or the new.
 */
export function planSwitchover(observed: Observed, update: string | undefined): SwitchoverPlan {
  const { cluster } = observed;
  const asked = requestOf(cluster);
  const last = cluster.status?.switchover;
  if (last?.state === 'InProgress') return goOn(observed, last);
  // Told, and the annotation is there still, or this look is behind its removal: it asks for nothing new.
  if (last?.annotated === true && asked === last.to) return { ...EMPTY_PLAN, actions: [removal(last.to)], switchover: last };
  if (asked !== undefined) return begin(observed, asked, 'Annotation');
  if (update !== undefined) return begin(observed, update, 'Update');
  if (last === undefined) return EMPTY_PLAN;
  const { annotated: _gone, ...closed } = last;
  return { ...EMPTY_PLAN, switchover: closed };
}

/** Does one go on? Meanwhile no pod that serves is replaced. */
export function isSwitchingOver({ status }: AuroraCluster): boolean {
  return status?.switchover?.state === 'InProgress';
}

function requestOf({ metadata }: AuroraCluster): string | undefined {
  return metadata.annotations?.[ANNOTATION.switchoverTo];
}

function removal(to: string): Action {
  return { kind: 'remove-annotation', annotation: ANNOTATION.switchoverTo, value: to };
}

function begin(observed: Observed, to: string, cause: SwitchoverCause): SwitchoverPlan {
  const startedAt = new Date(observed.now).toISOString();
  const writer = writerOf(observed).name;
  const begun: SwitchoverStatus = {
    to,
    from: writer,
    cause,
    state: 'InProgress',
    message: `asking ${to} to take the place of ${writer}`,
    startedAt,
  };
  const refusal = switchoverRefusal(observed, to);
  return refusal === undefined ? { ...ask(observed, begun), switchover: begun } : end(observed, begun, 'Refused', refusal);
}

function goOn(observed: Observed, going: SwitchoverStatus): SwitchoverPlan {
  const { to, startedAt } = going;
  const writer = writerOf(observed);
  const tookMs = observed.now - Date.parse(startedAt);
  if (writer.name === to && computeState(observed, writer.pod) === 'available') {
    const told = toldOf(observed, going);
    return end(
      observed,
      { ...going, ...told },
      'Done',
      `${to} writes in the place of ${going.from}, ${formatMs(tookMs)} after it was asked${inWords(told.transactions)}`,
    );
  }
  const answer = observed.promotion?.to === to && observed.promotion.startedAt === startedAt ? observed.promotion : undefined;
  if (answer?.kind === 'refused') return end(observed, going, 'Refused', answer.message);
  const words = answer === undefined ? 'it was not asked' : answer.message;
  if (tookMs >= SWITCHOVER_MS)
    return end(
      observed,
      going,
      'Failed',
      `${to} did not become the writer within ${formatMs(SWITCHOVER_MS)} (${words}); ${writer.name} is the writer`,
    );
  const leftMs = SWITCHOVER_MS - tookMs;
  if (answer?.kind === 'accepted') return { ...EMPTY_PLAN, againInMs: leftMs, switchover: { ...going, message: words } };
  return { ...ask(observed, going), againInMs: Math.min(ASK_AGAIN_MS, leftMs), switchover: going };
}

/** What each part took, and what became of transactions that were under way, as the new writer's agent tells it. */
function toldOf(observed: Observed, { from }: SwitchoverStatus): Pick<SwitchoverStatus, 'phases' | 'transactions'> {
  const told = freshAgent(observed, writerOf(observed).pod)?.failover;
  if (told?.reason !== 'switchover' || told.from !== from) return {};
  const { phases, transactions } = told;
  return { phases, ...(transactions === undefined ? {} : { transactions }) };
}

function inWords(transactions: SwitchoverTransactions | undefined): string {
  if (transactions === undefined) return '';
  return `; of the transactions under way ${transactions.finished} had ended, and ${transactions.cutOff} were cut off`;
}

/** Asking twice does no harm: the agent takes the place once. */
function ask(observed: Observed, { to, startedAt }: SwitchoverStatus): Plan {
  const pod = planInstances(observed).find(({ name }) => name === to)?.pod;
  if (pod === undefined) return { ...EMPTY_PLAN, againInMs: ASK_AGAIN_MS };
  return { ...EMPTY_PLAN, actions: [{ kind: 'ask-promotion', pod, startedAt }], againInMs: ASK_AGAIN_MS };
}

function end(observed: Observed, going: SwitchoverStatus, state: 'Done' | 'Refused' | 'Failed', message: string): SwitchoverPlan {
  const isAnnotated = requestOf(observed.cluster) === going.to;
  const switchover = {
    ...going,
    state,
    message,
    endedAt: new Date(observed.now).toISOString(),
    ...(isAnnotated ? { annotated: true } : {}),
  };
  // Soon, so that the outcome is closed when the annotation is gone.
  return {
    ...EMPTY_PLAN,
    actions: isAnnotated ? [removal(going.to)] : [],
    switchover,
    ...(isAnnotated ? { againInMs: ASK_AGAIN_MS } : {}),
  };
}

/** Why an instance cannot be the writer now, and what would help; undefined when it can be asked. */
export function switchoverRefusal(observed: Observed, to: string): string | undefined {
  const { metadata, spec } = observed.cluster;
  const instances = planInstances(observed);
  const instance = instances.find(({ name }) => name === to);
  if (instance === undefined)
    return `'${to}' is no instance of ${metadata.name}, which has ${instances.map(({ name }) => name).join(', ')}: name one of them`;
  if (instance.role === 'writer') return `${to} is the writer already`;
  const { pod } = instance;
  if (pod === undefined || isTerminating(pod)) return `${to} has no pod that stays: wait until it serves`;
  const report = freshAgent(observed, pod);
  if (report === undefined && isPodReady(pod)) return `the agent of ${to} does not answer the operator: see kubectl logs ${to}`;
  if (computeState(observed, pod) !== 'available') {
    const why = report?.message === undefined ? '' : ` (${report.phase}: ${report.message})`;
    return `${to} takes no connections${why}: wait until it serves`;
  }
  if (isLagging(observed, instance))
    return `${to} is ${formatMs(readerLagMs(observed, pod) ?? 0)} behind, and spec.readers.maxLag is ${spec.readers.maxLag}: wait until it has caught up`;
  return undefined;
}
