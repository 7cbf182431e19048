import { storageName } from '../api/names.ts';
import { isQuorum, quorumsOf, roleOfSegment, fewestInGroup, groupPeers, segmentIds, type SegmentId } from '../api/segment-id.ts';
import { SEGMENTS } from '../api/types.ts';
import type { SegmentStatus, StandInReasonName } from '../api/status-types.ts';
import { freshAgent, freshDaemon, isInitialized, isSegmentSound, isSegmentUp, segmentHealth, type Observed } from '../observed/observed.ts';
import { writerOf } from '../plan/plan-instances.ts';
import { podTrouble } from '../plan/pod-health.ts';
import { FAULT_REASON, faultAdvice, faultInWords, type FaultKind, type ReportedFault } from '../observed/faults.ts';
import { bad, good, type Verdict } from './verdict.ts';

/** "zone-b is down" rather than two names, where a whole zone is missing. */
export function describeMissing(segments: readonly SegmentStatus[]): string {
  const parts: string[] = [];
  for (const zone of new Set(segments.map((segment) => segment.zone))) {
    const here = segments.filter((segment) => segment.zone === zone);
    const down = here.filter((segment) => !segment.ready && segment.fault === undefined);
    if (down.length > 0 && down.length === here.length) parts.push(`all of ${zone} (${down.map(({ id }) => id).join(', ')})`);
    else parts.push(...down.map(({ id }) => id));
  }
  return parts.join(', ');
}

/** Which tails hold pages in whose place, since when and why. */
function describeStandIns(segments: readonly SegmentStatus[]): string[] {
  return segments.flatMap(({ id, standIn }) =>
    standIn === undefined
      ? []
      : [
          `${id} holds pages in the place of ${standIn.of} since ${standIn.since}, which ${WHY_STOOD_IN[standIn.reason]}, until that one has them all`,
        ],
  );
}

const WHY_STOOD_IN: Readonly<Record<StandInReasonName, string>> = {
  SILENT: 'did not answer',
  EMPTY: 'held nothing',
  DAMAGED: 'was damaged',
  UNWRITABLE: 'took no redo',
  UNKNOWN: 'was away',
};

interface FaultySegment {
  readonly segment: SegmentId;
  readonly id: string;
  readonly fault: ReportedFault;
  /** The daemon's own words. */
  readonly message: string | undefined;
}

function faultySegments(observed: Observed): readonly FaultySegment[] {
  return segmentIds.flatMap((segment) => {
    const health = segmentHealth(observed, segment);
    if (health.kind !== 'faulty') return [];
    const id = storageName(observed.cluster.metadata.name, segment);
    return [{ segment, id, fault: health.fault, message: freshDaemon(observed, segment)?.message }];
  });
}

/** The kind of fault that a person should see first. */
const GRAVITY: readonly FaultKind[] = [
  'REDO_FAILED',
  'HISTORY_REFUSED',
  'DAMAGED_DATA',
  'UNKNOWN',
  'ENGINE_UNKNOWN',
  'KEY_UNUSABLE',
  'DISK_ERROR',
  'DISK_FULL',
  'LOST_REDO',
];

/**
 * Every acknowledged commit is on a write quorum, so any read quorum that holds all it acknowledged has it. With fewer
 * that say so, nobody knows; then nothing is promised.
 */
function safety(observed: Observed): string {
  const sound = fewestInGroup((segment) => isSegmentSound(observed, segment));
  const { copies } = observed.cluster.spec.storage;
  return isQuorum(copies, 'read', (segment) => isSegmentSound(observed, segment))
    ? `nothing acknowledged is lost: ${sound} sound copies answer`
    : `whether anything acknowledged is lost is not known while fewer than ${quorumsOf(copies).readNeeds} sound copies answer (now ${sound}): keep all claims and disks`;
}

/** Segments that are missing and come back without anybody's doing. */
function comeBackByThemselves(observed: Observed): boolean {
  return segmentIds.every((segment) => {
    const pod = observed.storagePods.get(segment);
    return pod === undefined || podTrouble(pod).kind === 'none';
  });
}

/** Is there a write quorum, and are all six copies there? */
export function storageVerdicts(observed: Observed, segments: readonly SegmentStatus[]): { quorum: Verdict; redundant: Verdict } {
  const up = fewestInGroup((segment) => isSegmentUp(observed, segment));
  const begun = isInitialized(observed) && observed.cluster.status?.firstReadyAt !== undefined;
  const missing = describeMissing(segments);
  const standIns = describeStandIns(segments);
  const faulty = faultySegments(observed);
  return {
    quorum: quorumVerdict({ observed, up, begun, missing, faulty, standIns }),
    redundant: redundantVerdict({ observed, up, begun, missing, faulty, standIns }),
  };
}

/** What makes up a write quorum, in words. */
const ENOUGH = { Full: 'four', Mixed: 'four, or the three full ones,' } as const;

interface Seen {
  readonly observed: Observed;
  readonly up: number;
  readonly begun: boolean;
  readonly missing: string;
  readonly faulty: readonly FaultySegment[];
  /** Which tails hold pages in whose place, for people. */
  readonly standIns: readonly string[];
}

function quorumVerdict({ observed, up, begun, missing, faulty }: Seen): Verdict {
  const { copies } = observed.cluster.spec.storage;
  const isUp = (segment: SegmentId): boolean => isSegmentUp(observed, segment);
  if (isQuorum(copies, 'write', isUp)) {
    const agent = freshAgent(observed, writerOf(observed).pod);
    if (agent?.reason !== 'noQuorum' || agent.phase !== 'running')
      return good(`${up} of ${SEGMENTS} segments are up; ${ENOUGH[copies]} are enough`);
    const since = agent.since === undefined ? '' : ` since ${agent.since}`;
    const words = agent.message === undefined ? '' : `: ${agent.message}`;
    return bad(
      'QuorumLost',
      `writes wait${since}: the writer gets no answer from ${ENOUGH[copies]} segments, although ${up} of ${SEGMENTS} are up${words}`,
    );
  }
  if (!begun) {
    const faults = faulty.map(({ id, fault }) => `; ${id} reports ${faultInWords(fault)}`).join('');
    return bad('Creating', `${up} of ${SEGMENTS} segments are up and ${ENOUGH[copies]} are needed; to come: ${missing}${faults}`);
  }
  const full = faulty.filter(({ fault }) => fault.kind === 'DISK_FULL');
  const wrong = [
    ...(missing === '' ? [] : [`missing: ${missing}`]),
    ...faulty.map(({ id, fault }) => `${id} has ${faultInWords(fault)}`),
  ].join('; ');
  if (isQuorum(copies, 'write', (segment) => isUp(segment) || full.some((one) => one.segment === segment))) {
    const advice = full[0] === undefined ? '' : faultAdvice(observed.cluster, full[0].segment, full[0].fault, false);
    const message = `writes wait because disks are full: ${up} of ${SEGMENTS} segments take redo and ${ENOUGH[copies]} are needed; ${wrong}. Reads go on, ${safety(observed)}. What to do: ${advice}`;
    return bad('DiskFull', message);
  }
  return bad(
    'QuorumLost',
    `${up} of ${SEGMENTS} segments are up and ${ENOUGH[copies]} are needed: writes wait; ${wrong}; ${safety(observed)}`,
  );
}

function redundantVerdict({ observed, up, begun, missing, faulty, standIns }: Seen): Verdict {
  if (faulty.length === 0 && up === SEGMENTS) return good(['all six copies are up, two in each zone', ...standIns].join('; '));
  const parts = [`${up} of ${SEGMENTS} segments are up`];
  // Segments with the same advice stand together before it: six full disks are not to be told six times.
  const byAdvice = new Map<string, string[]>();
  for (const { segment, id, fault, message } of faulty) {
    // With a read quorum and one more of its peers nothing is lost by making it anew.
    const sound = groupPeers(segment).filter((peer) => isSegmentSound(observed, peer));
    const { copies } = observed.cluster.spec.storage;
    const isSafe = quorumsOf(copies).isPromise(sound.map((peer) => roleOfSegment(copies, peer)));
    const advice = faultAdvice(observed.cluster, segment, fault, isSafe);
    const words = message === undefined ? '' : `: ${message}`;
    byAdvice.set(advice, [...(byAdvice.get(advice) ?? []), `${id} has ${faultInWords(fault)}${words}`]);
  }
  for (const [advice, segments] of byAdvice) parts.push(...segments, advice);
  if (missing !== '') {
    const hope = begun && comeBackByThemselves(observed) ? '; they catch up by themselves when they are back' : '';
    parts.push(`missing: ${missing}${hope}`);
  }
  parts.push(...standIns);
  const gravest = GRAVITY.find((kind) => faulty.some(({ fault }) => fault.kind === kind));
  const reason = gravest !== undefined ? FAULT_REASON[gravest] : begun ? 'SegmentsMissing' : 'Creating';
  return bad(reason, parts.join('; '));
}
