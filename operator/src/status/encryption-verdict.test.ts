import { describe, expect, test } from 'vitest';
import type { EncryptionSpec } from '../api/types.ts';
import type { DaemonReport } from '../observed/reports.ts';
import { segmentIds, SegmentMap } from '../api/segment-id.ts';
import type { Pod } from '../kube/objects.ts';
import type { Observed } from '../observed/observed.ts';
import { daemonReport, healthy, makeCluster } from '../testing/fixtures.ts';
import { condition, faulty, ran, statusOf } from '../testing/statuses.ts';

const encryption = { key: { secret: { name: 'orders-kek', key: 'key' } } };
const encrypted = (by: EncryptionSpec = encryption): Observed => {
  const cluster = makeCluster({ status: ran() });
  return healthy({ ...cluster, spec: { ...cluster.spec, storage: { ...cluster.spec.storage, encryption: by } } });
};
const byKms: EncryptionSpec = { key: { kms: { image: 'vault-kms:1' } } };

/** With what daemons say of their keys, by their numbers. */
function saying(observed: Observed, say: (index: number) => Partial<DaemonReport>): Observed {
  const daemons = [0, 1, 2, 3, 4, 5].map((index) => [`demo-storage-${index}`, daemonReport(index, say(index))] as const);
  return { ...observed, daemons: new Map([...observed.daemons, ...daemons]) };
}

describe('the condition DataEncrypted', () => {
  const of = (observed: Observed) => condition(statusOf(observed), 'DataEncrypted');

  test('is not there where nothing is encrypted', () => {
    const status = statusOf(healthy(makeCluster({ status: ran() })));
    expect(condition(status, 'DataEncrypted')).toBeUndefined();
    expect(status.storage?.encryption).toBeUndefined();
  });

  test('says which key of which Secret wraps', () => {
    const observed = saying(encrypted(), () => ({ wrappedBy: 'aaaa', wrapsWith: 'aaaa' }));
    expect(of(observed)).toMatchObject({ status: 'True', message: expect.stringContaining("by key 'key' of Secret orders-kek (aaaa)") });
    expect(statusOf(observed).storage?.encryption).toEqual({ secret: 'orders-kek', key: 'key', wrappedBy: ['aaaa'] });
  });

  test('says what still needs the key before while another takes its place', () => {
    const observed = saying(encrypted(), (index) => ({ wrappedBy: index === 3 ? 'aaaa' : 'bbbb', wrapsWith: 'bbbb' }));
    expect(of(observed)).toMatchObject({
      status: 'False',
      reason: 'EncryptionKeyRotating',
      message: expect.stringContaining('aaaa and bbbb'),
    });
    const away = saying(encrypted(), (index) => (index === 3 ? {} : { wrappedBy: 'bbbb', wrapsWith: 'bbbb' }));
    expect(of(away)).toMatchObject({ status: 'False', reason: 'EncryptionKeyRotating', message: expect.stringContaining('keep all keys') });
  });

  test('names the Secret where a copy lacks its key, and that nothing is to be deleted', () => {
    const observed = faulty(encrypted(), { kind: 'KEY_UNUSABLE' }, 2);
    expect(of(observed)).toMatchObject({
      status: 'False',
      reason: 'EncryptionKeyTrouble',
      message: expect.stringContaining('into Secret orders-kek'),
    });
    const status = statusOf(observed);
    expect(condition(status, 'StorageRedundant')).toMatchObject({
      reason: 'EncryptionKeyTrouble',
      message: expect.stringContaining(
        "keep its claim, and put the key that it was encrypted with into Secret orders-kek, as any entry beside 'key'",
      ),
    });
    expect(JSON.stringify(status)).not.toContain('kubectl delete');
  });

  test('says what is wrong with a key that is not used', () => {
    const observed = saying(encrypted(), () => ({ wrappedBy: 'aaaa', wrapsWith: 'aaaa', keyProblem: '/etc/x has base64 of 24 bytes' }));
    expect(of(observed)).toMatchObject({ reason: 'EncryptionKeyTrouble', message: expect.stringContaining('base64 of 24 bytes') });
  });

  test('says which key of a KMS wraps, and that the one from before is needed no more', () => {
    const name = 'kms:arn:aws:kms:eu-central-1:1:key/a';
    const observed = saying(encrypted({ ...byKms, before: encryption.key }), () => ({ wrappedBy: name, wrapsWith: name }));
    expect(of(observed)).toMatchObject({
      status: 'True',
      message: expect.stringContaining(`by the KMS of plugin vault-kms:1 (${name}); spec.storage.encryption.before is needed no more`),
    });
    expect(statusOf(observed).storage?.encryption).toEqual({ kms: 'vault-kms:1', wrappedBy: [name] });
  });

  test('says what waits for a KMS, since when, that nothing is lost, and where to look', () => {
    const since = '2026-11-27T20:00:00.000Z';
    const wrapped = { wrappedBy: 'kms:a', wrapsWith: 'kms:a' };
    const observed = saying(encrypted(byKms), (index) =>
      index === 2 ? { keyAwaitedSince: since, keyProblem: 'Status fails with UNAVAILABLE' } : wrapped,
    );
    const { message = '', ...rest } = of(observed) ?? {};
    expect(rest).toMatchObject({ status: 'False', reason: 'EncryptionKeyTrouble' });
    for (const words of [
      `demo-storage-2 since ${since} (Status fails with UNAVAILABLE)`,
      'Nothing of it is changed or lost',
      'container kms',
    ])
      expect(message).toContain(words);
  });

  test('says of a KMS that is away that copies which run go on', () => {
    const observed = saying(encrypted(byKms), () => ({ wrappedBy: 'kms:a', wrapsWith: 'kms:a', keyProblem: 'Status fails' }));
    expect(of(observed)).toMatchObject({ reason: 'EncryptionKeyTrouble', message: expect.stringContaining('copies that run go on') });
  });

  test('names a plugin that does not run', () => {
    const observed = saying(encrypted(byKms), () => ({ wrappedBy: 'kms:a', wrapsWith: 'kms:a' }));
    const initContainerStatuses = [{ name: 'kms', state: { waiting: { reason: 'ImagePullBackOff' } } }];
    const pods = new SegmentMap<Pod>(
      segmentIds.flatMap((segment) => {
        const pod = observed.storagePods.get(segment);
        return pod === undefined ? [] : [[segment, { ...pod, status: { ...pod.status, initContainerStatuses } }] as const];
      }),
    );
    expect(of({ ...observed, storagePods: pods })).toMatchObject({
      reason: 'EncryptionKeyTrouble',
      message: expect.stringContaining('kms of demo-storage-0 ImagePullBackOff'),
    });
  });

  test('says where to name the key from before when a KMS gives another', () => {
    const observed = faulty(encrypted(byKms), { kind: 'KEY_UNUSABLE' }, 2);
    expect(of(observed)).toMatchObject({ message: expect.stringContaining('spec.storage.encryption.before') });
    expect(JSON.stringify(statusOf(observed))).not.toContain('kubectl delete');
  });
});
