import { keySourceInWords } from '../api/encryption-source.ts';
import type { EncryptionSpec } from '../api/types.ts';
import { storageName } from '../api/names.ts';
import { segmentIds } from '../api/segment-id.ts';
import type { EncryptionStatus } from '../api/status-types.ts';
import { freshDaemon, segmentHealth, type Observed } from '../observed/observed.ts';
import { isSilent, type DaemonReport } from '../observed/reports.ts';
import { present } from './present.ts';
import { bad, good, type Verdict } from './verdict.ts';

/** Which keys wrap the data keys of the copies; undefined where nothing is encrypted. */
export function encryptionStatus(observed: Observed): EncryptionStatus | undefined {
  const key = observed.cluster.spec.storage.encryption?.key;
  if (key === undefined) return undefined;
  const names = reports(observed).flatMap(([, { wrappedBy }]) => wrappedBy ?? []);
  return present<EncryptionStatus>({
    secret: key.secret?.name,
    key: key.secret?.key,
    kms: key.kms?.image,
    wrappedBy: [...new Set(names)].toSorted(),
  });
}

function reports(observed: Observed): readonly (readonly [string, DaemonReport])[] {
  return segmentIds.flatMap((segment) => {
    const report = freshDaemon(observed, segment);
    return report === undefined || isSilent(report) ? [] : [[storageName(observed.cluster.metadata.name, segment), report] as const];
  });
}

/** Is every copy's data key wrapped by the key that the manifest names? Undefined where nothing is encrypted. */
export function encryptionVerdict(observed: Observed): Verdict | undefined {
  const { cluster } = observed;
  const status = encryptionStatus(observed);
  const { encryption } = cluster.spec.storage;
  if (status === undefined || encryption === undefined) return undefined;
  const { secret } = encryption.key;
  const from = keySourceInWords(encryption.key);
  const locked = segmentIds.flatMap((segment) => {
    const health = segmentHealth(observed, segment);
    return health.kind === 'faulty' && health.fault.kind === 'KEY_UNUSABLE' ? [storageName(cluster.metadata.name, segment)] : [];
  });
  if (locked.length > 0)
    return bad(
      'EncryptionKeyTrouble',
      `${locked.join(', ')} cannot open what is stored, and changes nothing of it: ${
        secret === undefined
          ? `${from} gives another key than its data key was wrapped with; ${BACK_TO_THE_KEY}`
          : `put the key that it was encrypted with into Secret ${secret.name}, as any entry beside '${secret.key}'`
      }`,
    );
  const answers = reports(observed);
  const awaiting = answers.flatMap(([name, { keyAwaitedSince, keyProblem }]) =>
    keyAwaitedSince === undefined ? [] : [`${name} since ${keyAwaitedSince} (${keyProblem ?? 'no reason given'})`],
  );
  if (awaiting.length > 0)
    return bad(
      'EncryptionKeyTrouble',
      `waiting for ${from}, and opened nothing yet: ${awaiting.join('; ')}. Nothing of it is changed or lost, copies that run go on, and these go on by themselves once the KMS answers: look at the log of their container kms, at its rights and at the network to the KMS`,
    );
  const problems = answers.flatMap(([name, { keyProblem }]) => (keyProblem === undefined ? [] : [`${name}: ${keyProblem}`]));
  if (problems.length > 0)
    return bad(
      'EncryptionKeyTrouble',
      secret === undefined
        ? `${from} does not do what it should: copies that run go on with the keys that they have, and one that starts would wait for it: ${problems.join('; ')}`
        : `${from} cannot be used, and the key from before stays in use: ${problems.join('; ')}`,
    );
  const waiting = segmentIds.flatMap((segment) => {
    const pod = observed.storagePods.get(segment);
    const state = pod?.status?.containerStatuses?.[0]?.state?.waiting?.reason;
    return pod !== undefined && state === 'ContainerCreating' ? [pod.metadata.name] : [];
  });
  if (waiting.length > 0)
    return bad(
      'Creating',
      `${waiting.join(', ')} waits for its volumes: they come once ${secretsOf(encryption)} exists (kubectl describe pod says more)`,
    );
  const plugins = segmentIds.flatMap((segment) => {
    const pod = observed.storagePods.get(segment);
    return (pod?.status?.initContainerStatuses ?? []).flatMap(({ name, state }) =>
      state?.running === undefined ? [`${name} of ${pod?.metadata.name} ${state?.waiting?.reason ?? 'ended'}`] : [],
    );
  });
  if (plugins.length > 0)
    return bad(
      'EncryptionKeyTrouble',
      `plugins of the KMS do not run, and storage pods that start wait for theirs: ${plugins.join('; ')} (kubectl describe pod and kubectl logs POD -c kms say more)`,
    );
  const old = answers.filter(([, { wrappedBy, wrapsWith }]) => wrappedBy !== undefined && wrappedBy !== wrapsWith);
  const isAll = answers.length === segmentIds.length && answers.every(([, { wrappedBy }]) => wrappedBy !== undefined);
  if (status.wrappedBy.length > 1 || old.length > 0)
    return bad(
      'EncryptionKeyRotating',
      `data keys are wrapped by the keys ${status.wrappedBy.join(' and ')}: keep both ${keysOf(encryption)} until it is one`,
    );
  const [fingerprint] = status.wrappedBy;
  if (fingerprint === undefined) return bad('Creating', 'no copy has said yet that it is encrypted');
  if (!isAll)
    return bad(
      'EncryptionKeyRotating',
      `the data keys of ${answers.length} of ${segmentIds.length} copies are wrapped by ${from} (${fingerprint}); the others have not said so: keep all keys ${keysOf(encryption)}`,
    );
  const rest = encryption.before === undefined ? '' : '; spec.storage.encryption.before is needed no more';
  return good(`redo and pages of all copies are encrypted; their data keys are wrapped by ${from} (${fingerprint})${rest}`);
}

const BACK_TO_THE_KEY = 'have the KMS decrypt with that one, or name the key from before as spec.storage.encryption.before';

/** Where keys are that may be needed: those that wrap now, and those from before. */
function keysOf({ key, before }: EncryptionSpec): string {
  const places = [key, before].flatMap((source) => {
    if (source === undefined) return [];
    return source.secret === undefined ? ['in the KMS'] : [`in Secret ${source.secret.name}`];
  });
  return [...new Set(places)].join(' and ');
}

function secretsOf({ key, before }: EncryptionSpec): string {
  const names = [key, before].flatMap((source) => source?.secret?.name ?? source?.kms?.secret?.name ?? []);
  return names.length === 0 ? 'what they name' : `Secret ${[...new Set(names)].join(' and ')}`;
}
