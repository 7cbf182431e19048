import { describe, expect, test } from 'vitest';
import { chooseCluster } from '../find-cluster.ts';
import { ApiError, refusal } from '@kube-aurora/kube-http';
import { inKubectlWords, UsageError } from '../kube/errors.ts';
import { memberName } from '../member-name.ts';
import { VIEWS } from '../testing/views.ts';
import { doneLines, switchoverProgress } from './follow-switchover.ts';
import { whyNotWriter } from './restart-command.ts';

const { cluster } = VIEWS.healthy;

describe('a switchover’s progress', () => {
  const going = { to: 'demo-2', from: 'demo-1', state: 'InProgress', message: 'demo-2 opens the volume', startedAt: 'T2' };
  test.each([
    [undefined, { kind: 'asked' }],
    // Another one, of before or to somebody else.
    [{ ...going, startedAt: 'T1', state: 'Done' }, { kind: 'asked' }],
    [{ ...going, to: 'demo-3' }, { kind: 'asked' }],
    [going, { kind: 'under way', message: 'demo-2 opens the volume' }],
    [
      { ...going, state: 'Refused', message: 'it lags' },
      { kind: 'not done', state: 'Refused', message: 'it lags' },
    ],
    [
      { ...going, state: 'Done' },
      { kind: 'done', switchover: { ...going, state: 'Done' } },
    ],
  ])('%#', (switchover, expected) => {
    expect(switchoverProgress(switchover === undefined ? {} : { switchover }, 'demo-2', 'T1')).toEqual(expected);
  });

  test('in its end says what each part took, and whom it cost', () => {
    const done = {
      ...going,
      startedAt: '2026-11-21T12:00:00.000Z',
      endedAt: '2026-11-21T12:00:01.300Z',
      phases: { drainedMs: 410, openedMs: 30 },
      transactions: { finished: 2, cutOff: 0 },
    };
    expect(doneLines(done)).toEqual([
      'demo-2 writes in the place of demo-1 in 1.3 s',
      '  drained 410 ms · opened 30 ms',
      '  2 transactions ended by themselves, 0 cut off',
    ]);
  });
});

test('the writer is not restarted by mistake', () => {
  expect(whyNotWriter(cluster, 'demo-1')).toBe(
    'demo-1 is the writer: give its place away first (kubectl aurora switchover demo demo-2); or say --writer',
  );
  expect(whyNotWriter(VIEWS['one copy down, no readers'].cluster, 'demo-1')).toContain('there is no reader to take its place');
});

test('members by name and by number', () => {
  expect(memberName(cluster, '2', 'instance')).toBe('demo-2');
  expect(memberName(cluster, 'demo-storage-3', 'instance', 'segment')).toBe('demo-storage-3');
  expect(() => memberName(cluster, 'demo-storage-9', 'instance', 'segment')).toThrow('no instance or segment "demo-storage-9"');
});

test('which cluster is meant by no name', () => {
  const other = { metadata: { name: 'other' } };
  expect(chooseCluster([cluster], 'default')).toBe(cluster);
  expect(() => chooseCluster([], 'prod')).toThrow('there is no AuroraCluster in namespace prod');
  expect(() => chooseCluster([cluster, other], 'prod')).toThrow('namespace prod has 2 AuroraClusters: name one of demo, other');
});

test('errors are worded as kubectl words them', () => {
  const notFound = refusal(404, '{"kind":"Status","reason":"NotFound","message":"auroraclusters.kube-aurora.dev \\"x\\" not found"}');
  expect(inKubectlWords(notFound)).toBe('Error from server (NotFound): auroraclusters.kube-aurora.dev "x" not found');
  expect(inKubectlWords(refusal(502, '<html>'))).toBe('Error from server (502): <html>');
  expect(inKubectlWords(new ApiError(0, 'Unreachable', 'The connection to the server x was refused'))).toBe(
    'The connection to the server x was refused',
  );
  expect(inKubectlWords(new UsageError('unknown flag: --x'))).toBe('error: unknown flag: --x');
});
