import { storageName } from '../api/names.ts';
import { segmentIds } from '../api/segment-id.ts';
import type { EncryptionStatus } from '../api/status-types.ts';
import { freshDaemon, segmentHealth, type Observed } from '../observed/observed.ts';
import { isSilent, type DaemonReport } from '../observed/reports.ts';
import { bad, good, type Verdict } from './verdict.ts';

/** Which keys wrap the data keys of the copies; undefined where nothing is encrypted. */
export function encryptionStatus(observed: Observed): EncryptionStatus | undefined {
  const reference = observed.cluster.spec.storage.encryption?.key.secret;
  if (reference === undefined) return undefined;
  const fingerprints = reports(observed).flatMap(([, { wrappedBy }]) => wrappedBy ?? []);
  return { secret: reference.name, key: reference.key, wrappedBy: [...new Set(fingerprints)].toSorted() };
}

function reports(observed: Observed): readonly (readonly [string, DaemonReport])[] {
  return segmentIds.flatMap((segment) => {
    const report = freshDaemon(observed, segment);
    return report === undefined || isSilent(report) ? [] : [[storageName(observed.cluster.metadata.name, segment), report] as const];
  });
}

/** Is every copy's data key wrapped by the key that the Secret holds? Undefined where nothing is encrypted. */
export function encryptionVerdict(observed: Observed): Verdict | undefined {
  const status = encryptionStatus(observed);
  if (status === undefined) return undefined;
  const { cluster } = observed;
  const from = `key '${status.key}' of Secret ${status.secret}`;
  const locked = segmentIds.flatMap((segment) => {
    const health = segmentHealth(observed, segment);
    return health.kind === 'faulty' && health.fault.kind === 'KEY_UNUSABLE' ? [storageName(cluster.metadata.name, segment)] : [];
  });
  if (locked.length > 0)
    return bad(
      'EncryptionKeyTrouble',
      `${locked.join(', ')} cannot open what is stored, and changes nothing of it: put the key that it was encrypted with into Secret ${status.secret}, as any entry beside '${status.key}'`,
    );
  const answers = reports(observed);
  const problems = answers.flatMap(([name, { keyProblem }]) => (keyProblem === undefined ? [] : [`${name}: ${keyProblem}`]));
  if (problems.length > 0)
    return bad('EncryptionKeyTrouble', `${from} cannot be used, and the key from before stays in use: ${problems.join('; ')}`);
  const waiting = segmentIds.flatMap((segment) => {
    const pod = observed.storagePods.get(segment);
    const state = pod?.status?.containerStatuses?.[0]?.state?.waiting?.reason;
    return pod !== undefined && state === 'ContainerCreating' ? [pod.metadata.name] : [];
  });
  if (waiting.length > 0)
    return bad(
      'Creating',
      `${waiting.join(', ')} waits for its volumes: they come once Secret ${status.secret} exists (kubectl describe pod says more)`,
    );
  const old = answers.filter(([, { wrappedBy, wrapsWith }]) => wrappedBy !== undefined && wrappedBy !== wrapsWith);
  const isAll = answers.length === segmentIds.length && answers.every(([, { wrappedBy }]) => wrappedBy !== undefined);
  if (status.wrappedBy.length > 1 || old.length > 0)
    return bad(
      'EncryptionKeyRotating',
      `data keys are wrapped by the keys ${status.wrappedBy.join(' and ')}: keep both in Secret ${status.secret} until it is one`,
    );
  const [fingerprint] = status.wrappedBy;
  if (fingerprint === undefined) return bad('Creating', 'no copy has said yet that it is encrypted');
  if (!isAll)
    return bad(
      'EncryptionKeyRotating',
      `the data keys of ${answers.length} of ${segmentIds.length} copies are wrapped by ${from} (${fingerprint}); the others have not said so: keep all keys in the Secret`,
    );
  return good(`redo and pages of all copies are encrypted; their data keys are wrapped by ${from} (${fingerprint})`);
}
