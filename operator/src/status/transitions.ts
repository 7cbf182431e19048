import type { ConditionType } from '../api/conditions.ts';
import { Quorums } from '@kube-aurora/volume';
import type { AuroraClusterStatus, SegmentStatus } from '../api/status-types.ts';
import type { Notice } from '../plan/actions.ts';
import { FAULT_KINDS, FAULT_REASON } from '../observed/faults.ts';
import { autoscalingNotices } from './autoscaling-notices.ts';
import { certificateNotices } from './certificates-verdict.ts';
import { failoverNotices } from './failover-status.ts';
import { pauseNotices } from './pause-verdict.ts';
import { readerNotices } from './instance-notices.ts';
import { slotNotices } from './lost-slots.ts';
import { describeMissing } from './storage-verdict.ts';
import { switchoverNotices } from './switchover-notices.ts';

/**
 * What became different between two statuses, as events. From statuses alone, so that an operator that was
 * restarted in between gives the same events.
 */
export function noticesOf(before: AuroraClusterStatus | undefined, after: AuroraClusterStatus, now: number): readonly Notice[] {
  if (after.phase === 'Deleting') {
    return before?.phase === 'Deleting' ? [] : [{ type: 'Normal', reason: 'Deleting', message: after.message ?? 'Deleting the cluster' }];
  }
  const notices: Notice[] = [];
  const add = (type: Notice['type'], reason: string, message: string): void => void notices.push({ type, reason, message });
  const was = (type: ConditionType): string | undefined => before?.conditions?.find((condition) => condition.type === type)?.status;
  const is = (type: ConditionType) => after.conditions?.find((condition) => condition.type === type);
  const lasted = (type: ConditionType): string => {
    const since = before?.conditions?.find((condition) => condition.type === type)?.lastTransitionTime;
    return since === undefined ? '' : ` after ${seconds(now - Date.parse(since))}`;
  };
  if (before?.phase === undefined) {
    if (after.storage?.initialized === true)
      add('Normal', 'VolumeFound', `Found the data of volume ${after.volumeId ?? ''} in the retained claims; opening it`);
    else add('Normal', 'Creating', `Creating the cluster; volume ${after.volumeId ?? 'not chosen yet'}`);
  }
  if (after.storage?.initialized === true && before?.storage?.initialized === false)
    add('Normal', 'VolumeCreated', 'The volume holds a database now');

  const begunOnce = before?.firstReadyAt !== undefined;
  const writer = is('WriterAvailable');
  const epoch = after.epoch === undefined ? '' : ` (epoch ${after.epoch})`;
  if (was('WriterAvailable') === 'True' && writer?.status === 'False') add('Warning', 'WriterUnavailable', writer.message);
  else if (was('WriterAvailable') === 'False' && writer?.status === 'True') {
    if (before?.firstReadyAt === undefined) add('Normal', 'WriterReady', `Writer ${after.writer ?? ''} takes connections${epoch}`);
    else add('Normal', 'WriterRecovered', `Writer ${after.writer ?? ''} takes connections again${lasted('WriterAvailable')}${epoch}`);
  } else if (
    writer?.status === 'True' &&
    before?.writer === after.writer &&
    before?.epoch !== undefined &&
    after.epoch !== undefined &&
    after.epoch > before.epoch
  ) {
    add('Normal', 'WriterReopened', `Writer ${after.writer ?? ''} opened the volume again${epoch}`);
  }

  notices.push(
    ...readerNotices(before, after, now),
    ...switchoverNotices(before, after),
    ...failoverNotices(before, after),
    ...slotNotices(before, after),
    ...autoscalingNotices(before, after),
    ...pauseNotices(before, after, now),
    ...certificateNotices(before, after),
  );

  for (const { role, secret, passwordChangedAt } of after.credentials ?? []) {
    const known = before?.credentials?.find((credential) => credential.role === role);
    if (
      before?.firstReadyAt !== undefined &&
      known !== undefined &&
      passwordChangedAt !== undefined &&
      known.passwordChangedAt !== passwordChangedAt
    )
      add('Normal', 'PasswordChanged', `Role ${role} has the new password of Secret ${secret}`);
  }
  const credentials = is('CredentialsApplied');
  const credentialsBefore = before?.conditions?.find((condition) => condition.type === 'CredentialsApplied');
  if (
    begunOnce &&
    credentials?.status === 'False' &&
    credentials.reason !== 'WriterStarting' &&
    credentialsBefore?.message !== credentials.message
  )
    add('Warning', credentials.reason, credentials.message);

  const certificates = is('CertificatesValid');
  const certificatesBefore = before?.conditions?.find((condition) => condition.type === 'CertificatesValid');
  if (certificates?.reason === 'CertificateTrouble' && certificatesBefore?.message !== certificates.message)
    add('Warning', certificates.reason, certificates.message);

  const encryption = is('DataEncrypted');
  const encryptionBefore = before?.conditions?.find((condition) => condition.type === 'DataEncrypted');
  if (encryption?.reason === 'EncryptionKeyTrouble' && encryptionBefore?.message !== encryption.message)
    add('Warning', encryption.reason, encryption.message);

  const quorum = is('StorageQuorum');
  // While it comes up for the first time, segments appearing are no news.
  const begun = before?.storage?.initialized === true && before.firstReadyAt !== undefined;
  if (begun && was('StorageQuorum') === 'True' && quorum?.status === 'False') add('Warning', 'QuorumLost', quorum.message);
  if (begun && was('StorageQuorum') === 'False' && quorum?.status === 'True')
    add('Normal', 'QuorumRegained', `Writes go on${lasted('StorageQuorum')}: ${quorum.message}`);
  const replacing = [before, after].some(
    (status) => status?.phase === 'Updating' && status.conditions?.some(({ reason }) => reason === 'PodsOutdated'),
  );
  if (begun) notices.push(...segmentNotices(before?.storage?.segments ?? [], after.storage?.segments ?? [], replacing));

  const redundant = is('StorageRedundant');
  if (begun && !replacing && was('StorageRedundant') === 'False' && redundant?.status === 'True')
    add('Normal', 'FullyRedundant', `All six copies are up again${lasted('StorageRedundant')}`);

  const accepted = is('SpecAccepted');
  const acceptedBefore = before?.conditions?.find((condition) => condition.type === 'SpecAccepted');
  if (accepted?.status === 'False' && acceptedBefore?.message !== accepted.message) add('Warning', accepted.reason, accepted.message);
  const upToDate = is('UpToDate');
  const upToDateBefore = before?.conditions?.find((condition) => condition.type === 'UpToDate');
  if (upToDate?.reason === 'StorageGrowing' && upToDateBefore?.reason !== 'StorageGrowing')
    add('Normal', 'StorageGrowing', upToDate.message);
  if (upToDateBefore?.status === 'False' && upToDate?.status === 'True') {
    if (upToDateBefore.reason === 'StorageGrowing') add('Normal', 'StorageGrown', `All volumes have their new size${lasted('UpToDate')}`);
    else add('Normal', 'Updated', 'Every pod runs the new spec');
  }
  return notices;
}

/** While pods are replaced on purpose, single ones going and coming are no news. */
function segmentNotices(before: readonly SegmentStatus[], after: readonly SegmentStatus[], replacing: boolean): readonly Notice[] {
  const notices: Notice[] = [];
  const wasReady = (id: string): boolean => before.find((segment) => segment.id === id)?.ready === true;
  const zones = [...new Set(after.map(({ zone }) => zone))];
  const mentioned = new Set<string>();
  for (const zone of zones) {
    const here = after.filter((segment) => segment.zone === zone);
    const upNow = here.filter(({ ready }) => ready).length;
    const upBefore = here.filter(({ id }) => wasReady(id)).length;
    // Copies that tell what is wrong with them are there: full disks take no zone away.
    if (upBefore > 0 && upNow === 0 && !here.every(({ fault }) => fault !== undefined)) {
      notices.push({
        type: 'Warning',
        reason: 'ZoneDown',
        message: `No segment in ${zone} is up: ${here.map(({ id }) => id).join(', ')}; ${canWrite(after) ? 'reads and writes go on' : 'writes wait'}`,
      });
      for (const { id } of here) mentioned.add(id);
    }
    if (
      upBefore < here.length &&
      upNow === here.length &&
      here.length > 1 &&
      before.filter((segment) => segment.zone === zone).every(({ ready }) => !ready)
    ) {
      notices.push({ type: 'Normal', reason: 'ZoneRecovered', message: `Both segments in ${zone} are up again` });
      for (const { id } of here) mentioned.add(id);
    }
  }
  for (const segment of after) {
    const earlier = before.find(({ id }) => id === segment.id);
    const kind = FAULT_KINDS.find((one) => one === segment.fault);
    if (kind !== undefined && earlier?.fault !== segment.fault) {
      const words = segment.message === undefined ? '' : `: ${segment.message}`;
      notices.push({ type: 'Warning', reason: FAULT_REASON[kind], message: `${segment.id} is faulty (${kind})${words}` });
    } else if (!replacing && !mentioned.has(segment.id) && earlier !== undefined && earlier.ready !== segment.ready) {
      if (segment.ready) notices.push({ type: 'Normal', reason: 'SegmentUp', message: `${segment.id} is up again` });
      else
        notices.push({
          type: 'Warning',
          reason: 'SegmentDown',
          message: `${segment.id} in ${segment.zone} is down; missing now: ${describeMissing(after)}`,
        });
    }
  }
  return notices;
}

/** Is a write quorum of these ready? */
function canWrite(segments: readonly SegmentStatus[]): boolean {
  const quorums = new Quorums(segments.map(({ role }) => role));
  return quorums.isWrite(segments.filter(({ ready }) => ready).map(({ role }) => role));
}

function seconds(ms: number): string {
  return `${(Math.max(0, ms) / 1000).toFixed(1)} s`;
}
