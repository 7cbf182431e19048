import { formatMs } from '../api/duration.ts';
import type { InstanceState, InstanceStatus } from '../api/status-types.ts';
import type { ConditionReason } from '../api/conditions.ts';
import { freshAgent, type Observed } from '../observed/observed.ts';
import { readersOf, type Instance } from '../plan/plan-instances.ts';
import { podTrouble } from '../plan/pod-health.ts';
import type { ClusterPlan } from '../plan/plan.ts';
import { canBeRead, readerLagMs } from '../plan/read-endpoint.ts';
import { instanceState, instanceTrouble } from './instances.ts';
import { bad, good, type Verdict } from './verdict.ts';

/** The gravest first. */
const REASON: readonly (readonly [InstanceState, ConditionReason])[] = [
  ['Lost', 'ReaderLost'],
  ['Lagging', 'ReadersLagging'],
  ['Starting', 'ReadersStarting'],
];

/** Do all readers serve, within the lag that they may have? If not, which, why, and where reads go meanwhile. */
export function readersVerdict(observed: Observed, plan: ClusterPlan): Verdict {
  const readers = readersOf(observed);
  const { name } = observed.cluster.metadata;
  if (readers.length === 0) return good(`no readers are asked for (spec.instances is 1); ${name}-ro leads to the writer`);
  const states = readers.map((reader) => ({ reader, state: instanceState(observed, plan, reader) }));
  const reason = REASON.find(([state]) => states.some((one) => one.state === state))?.[1];
  const served = readers.filter((reader) => canBeRead(observed, reader));
  const count = `${served.length} of ${readers.length} readers`;
  if (reason === undefined) return good(`${count} ${readers.length === 1 ? 'serves' : 'serve'} reads`);
  const wrong = states.filter(({ state }) => state !== 'Serving').map(({ reader, state }) => inWords(observed, reader, state));
  const instead = served.length === 0 ? 'the writer' : served.map(({ name }) => name).join(', ');
  return bad(reason, `${count} serve reads: ${wrong.join('; ')}; ${name}-ro leads to ${instead}`);
}

function inWords(observed: Observed, { name, pod }: Instance, state: InstanceState): string {
  const report = freshAgent(observed, pod);
  if (state === 'Lagging') {
    const lagMs = readerLagMs(observed, pod);
    const lag = lagMs === undefined ? '' : ` ${formatMs(lagMs)}`;
    const why = report?.cutOffSince === undefined ? '' : ': it gets no redo from storage';
    return `${name} is${lag} behind, more than spec.readers.maxLag (${observed.cluster.spec.readers.maxLag})${why}`;
  }
  // One that runs has nothing to say of why its pod is not ready.
  const said = report === undefined || report.phase === 'running' ? undefined : report.message;
  const words = said === undefined ? instanceTrouble(observed, pod) : `is ${report?.phase}: ${said}`;
  const hope = pod === undefined || (podTrouble(pod).kind === 'none' && pod.spec.nodeName !== undefined) ? '; it comes back by itself' : '';
  return state === 'Lost' ? `${name} ${words}${hope}` : `${name} ${words}`;
}

/** Readers of a status that can be read. */
export function servingReaders(instances: readonly InstanceStatus[] | undefined): readonly InstanceStatus[] {
  return (instances ?? []).filter(({ role, state }) => role === 'reader' && state === 'Serving');
}
