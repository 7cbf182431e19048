import { expect, test } from 'vitest';
import type { SegmentState } from '@kube-aurora/rpc';
import type { SegmentEndpoint } from '../segments.ts';
import { chooseStart, type Answer } from './find-start.ts';

type Told = Partial<Pick<SegmentState, 'phase' | 'vdl' | 'scl' | 'role' | 'engine'>>;

function answer(id: string, zone: string, told: Told | 'away'): Answer {
  const role = (told === 'away' ? undefined : told.role) ?? 'FULL';
  const endpoint = { index: Number(id.slice(1)), id, zone, role } as SegmentEndpoint;
  if (told === 'away') return { endpoint, failure: `${id}: connection refused` };
  const state = { phase: 'READY', vdl: 0n, scl: 0n, engine: undefined, role, ...told };
  return { endpoint, state: state as SegmentState };
}

const found = (answers: readonly Answer[]): unknown => {
  const choice = chooseStart(answers, 'a');
  return choice.kind === 'wait' ? choice.hindrance : [choice.start.startLsn, choice.start.segments.map(({ id }) => id)];
};

test('a reader starts at the newest LSN that is known to be durable, from who has it, its own zone first', () => {
  const answers = [
    answer('s0', 'b', { vdl: 90n, scl: 120n }),
    answer('s1', 'a', { vdl: 80n, scl: 95n }),
    answer('s2', 'a', { vdl: 100n, scl: 100n, role: 'TAIL' }),
    answer('s3', 'c', 'away'),
    answer('s4', 'a', { vdl: 100n, scl: 110n }),
  ];
  expect(found(answers)).toEqual([100n, ['s4', 's0', 's1']]);
});

test('it waits, and says for what', () => {
  expect(found([])).toMatchObject({ kind: 'storage', message: 'no storage daemon answers' });
  expect(found([answer('s0', 'a', 'away')])).toMatchObject({ kind: 'storage', message: expect.stringContaining('s0: connection refused') });
  expect(found([answer('s0', 'a', { phase: 'EMPTY' })])).toMatchObject({
    kind: 'storage',
    message: expect.stringContaining('not there yet'),
  });
  expect(found([answer('s0', 'a', { vdl: 100n, role: 'TAIL' })])).toMatchObject({ message: expect.stringContaining('has pages') });
  expect(found([answer('s0', 'a', { vdl: 100n, engine: { engine: 'postgres', major: 17 } })])).toMatchObject({ kind: 'engineMismatch' });
});
