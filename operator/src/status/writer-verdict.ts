import type { ConditionReason } from '../api/conditions.ts';
import { fewestInGroup, isQuorum, quorumsOf, type SegmentId } from '../api/segment-id.ts';
import { SEGMENTS } from '../api/types.ts';
import { computeState, freshAgent, isSegmentUp, type Observed } from '../observed/observed.ts';
import { takesWriterAway, type ClusterPlan } from '../plan/plan.ts';
import { isDeposed, readersOf, writerOf } from '../plan/plan-instances.ts';
import { podTrouble } from '../plan/pod-health.ts';
import { isTerminating } from '../kube/objects.ts';
import type { AgentReason, AgentReport } from '../observed/reports.ts';
import { instanceTrouble } from './instances.ts';
import { bad, good, type Verdict } from './verdict.ts';

/** Reasons of an agent whose PostgreSQL did not start or was lost. */
const FAILED: Readonly<Partial<Record<AgentReason, ConditionReason>>> = {
  postgresFailed: 'PostgresFailed',
  settingsRefused: 'SettingsRefused',
  damagedWal: 'WalDamaged',
};

/** Reasons of an agent that cannot open this volume before somebody has changed something. */
const MISMATCHED: Readonly<Partial<Record<AgentReason, ConditionReason>>> = {
  engineMismatch: 'EngineMismatch',
  rolesMismatch: 'RolesMismatch',
  volumeMissing: 'VolumeMissing',
};

/** Is there a writer to talk to? If not, why, and what it waits for. */
export function writerVerdict(observed: Observed, plan: ClusterPlan): Verdict {
  const { name: planned, pod } = writerOf(observed);
  const report = freshAgent(observed, pod);
  const name = pod === undefined ? 'the writer' : planned;
  if (pod !== undefined && takesWriterAway(plan)) {
    const why = plan.actions.flatMap((action) => (action.kind === 'delete-pod' && action.pod === pod ? [action.why] : []));
    return bad('WriterReplaced', `${name} is replaced: ${why.join(', ')}; clients connect again when the new one is up`);
  }
  if (isDeposed(observed, pod))
    return bad('WriterLost', `no instance says that it writes: ${name}, which wrote last, reads now; another takes its place in a moment`);
  if (pod !== undefined && computeState(observed, pod) === 'available') return good(`${name} takes connections`);
  const told = report === undefined ? undefined : agentVerdict(observed, name, report);
  if (told !== undefined) return told;
  if (observed.cluster.metadata.deletionTimestamp !== undefined) return bad('Deleting', `${name} ${instanceTrouble(observed, pod)}`);
  const isUp = (segment: SegmentId): boolean => isSegmentUp(observed, segment);
  const { copies } = observed.cluster.spec.storage;
  if (pod !== undefined && pod.status?.phase === 'Running' && !isTerminating(pod) && !isQuorum(copies, 'promise', isUp)) {
    const waits = `${name} waits for storage: ${fewestInGroup(isUp)} of ${SEGMENTS} segments are up, ${quorumsOf(copies).promiseNeeds} are needed`;
    return bad('OpeningVolume', waits);
  }
  const everRan = observed.cluster.status?.firstReadyAt !== undefined;
  // What ails the pod is told beside this, as an obstacle: then nothing comes back by itself.
  const hope = pod !== undefined && podTrouble(pod).kind !== 'none' ? '' : everRan ? '; it comes back by itself' : '; it is starting';
  const heirs = readersOf(observed).filter(({ pod: one }) => computeState(observed, one) === 'available');
  const next = heirs.length === 0 ? hope : `; ${heirs.map((reader) => reader.name).join(' or ')} takes its place`;
  return bad(everRan ? 'WriterLost' : 'WriterStarting', `${name} ${instanceTrouble(observed, pod)}${next}`);
}

/**
 * What the agent says of itself, while its pod does not take connections; undefined when it says nothing to the point.
 */
function agentVerdict(observed: Observed, name: string, report: AgentReport): Verdict | undefined {
  const because = report.message === undefined ? '' : `: ${report.message}`;
  switch (report.phase) {
    case 'bootstrapping':
      return bad(
        'Bootstrapping',
        report.reason === 'initdbRefused'
          ? `${name} cannot make the first database, and tries again${because}`
          : `${name} makes the first database`,
      );
    case 'opening': {
      const failed = report.reason === undefined ? undefined : FAILED[report.reason];
      if (failed !== undefined) return bad(failed, `PostgreSQL on ${name} is not up and is tried again${because}`);
      const mismatched = report.reason === undefined ? undefined : MISMATCHED[report.reason];
      if (mismatched !== undefined) return bad(mismatched, `${name} cannot open the volume${because}`);
      const { failure } = report;
      const before = failure === undefined ? '' : `; before that PostgreSQL failed: ${failure.message}`;
      return bad('OpeningVolume', `${name} opens the volume${because}${before}`);
    }
    case 'running':
      return observed.cluster.status?.firstReadyAt === undefined
        ? bad('OpeningVolume', `${name} runs PostgreSQL and is about to be ready`)
        : undefined;
    case 'fenced':
      return bad('WriterFenced', `${name} was fenced by a writer of a higher epoch and is made anew`);
    case 'stopping':
      return bad(report.reason === 'fenced' ? 'WriterFenced' : 'WriterLost', `${name} is stopping${because}`);
    default:
      return undefined;
  }
}
