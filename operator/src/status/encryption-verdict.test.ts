import { describe, expect, test } from 'vitest';
import type { DaemonReport } from '../observed/reports.ts';
import type { Observed } from '../observed/observed.ts';
import { daemonReport, healthy, makeCluster } from '../testing/fixtures.ts';
import { condition, faulty, ran, statusOf } from '../testing/statuses.ts';

const encryption = { key: { secret: { name: 'orders-kek', key: 'key' } } };
const encrypted = (): Observed => {
  const cluster = makeCluster({ status: ran() });
  return healthy({ ...cluster, spec: { ...cluster.spec, storage: { ...cluster.spec.storage, encryption } } });
};

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
});
