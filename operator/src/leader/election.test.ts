import fc from 'fast-check';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { silentLogger } from '@kube-aurora/process';
import { ApiError } from '@kube-aurora/kube-http';
import { RESOURCE } from '../kube/resources.ts';
import { FakeApi } from '../testing/fake-api.ts';
import { ELECTION_TIMES, mayLead, onLease, onOutrun, onWritten, startElection, type ElectionState, type LeaseRecord } from './election.ts';
import { LeaseKeeper, type Lease } from './lease-keeper.ts';

const lease = (change: Partial<LeaseRecord> = {}): LeaseRecord => ({
  holder: 'other',
  durationSeconds: 12,
  transitions: 4,
  resourceVersion: '7',
  ...change,
});

describe('the state machine', () => {
  test('no lease: make it', () => {
    expect(onLease(startElection('me'), undefined, 0, ELECTION_TIMES)).toMatchObject({ kind: 'write', takesOver: true, transitions: 0 });
  });

  test("another's lease is waited out by our own clock, from when we first saw it", () => {
    let state = startElection('me');
    for (const [now, resourceVersion, kind] of [
      [0, '7', 'wait'],
      [11_999, '7', 'wait'],
      [12_000, '8', 'wait'],
      [23_999, '8', 'wait'],
      [24_000, '8', 'write'],
    ] as const) {
      const step = onLease(state, lease({ resourceVersion }), now, ELECTION_TIMES);
      expect([now, step.kind]).toEqual([now, kind]);
      state = step.state;
    }
  });

  test('a released lease is taken at once', () => {
    expect(onLease(startElection('me'), lease({ holder: '' }), 0, ELECTION_TIMES)).toMatchObject({
      kind: 'write',
      takesOver: true,
      transitions: 5,
    });
  });

  test('our own is renewed, and counts from when the attempt began', () => {
    const step = onLease(startElection('me'), lease({ holder: 'me' }), 100, ELECTION_TIMES);
    expect(step).toMatchObject({ kind: 'write', takesOver: false, transitions: 4, at: 100 });
    const state = onWritten(step.state, '8', 100);
    expect(mayLead(state, 10_099, ELECTION_TIMES)).toBe(true);
    expect(mayLead(state, 10_100, ELECTION_TIMES)).toBe(false);
    expect(mayLead(onOutrun(state), 101, ELECTION_TIMES)).toBe(false);
  });
});

test('of many candidates with failing requests never two may lead', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ who: fc.nat(2), ms: fc.nat(6_000), outcome: fc.constantFrom('ok', 'ok', 'unreachable', 'answer lost') }), {
        maxLength: 200,
      }),
      (turns) => {
        let stored: LeaseRecord | undefined;
        let version = 0;
        let now = 0;
        const states: ElectionState[] = ['a', 'b', 'c'].map(startElection);
        for (const { who, ms, outcome } of turns) {
          now += ms;
          const state = states[who];
          if (state === undefined || outcome === 'unreachable') continue;
          const step = onLease(state, stored, now, ELECTION_TIMES);
          states[who] = step.state;
          if (step.kind === 'write') {
            version += 1;
            stored = { holder: state.id, durationSeconds: 12, transitions: step.transitions, resourceVersion: String(version) };
            if (outcome === 'ok') states[who] = onWritten(step.state, String(version), step.at);
          }
          expect(states.filter((one) => mayLead(one, now, ELECTION_TIMES)).length).toBeLessThanOrEqual(1);
        }
      },
    ),
  );
});

describe('the keeper', () => {
  const setUp = (api: FakeApi, identity: string) => {
    const clock = { now: 0 };
    const told: string[] = [];
    let next: (() => void) | undefined;
    const keeper = new LeaseKeeper({
      api,
      namespace: 'default',
      name: 'operator',
      identity,
      times: ELECTION_TIMES,
      logger: silentLogger(),
      monotonic: () => clock.now,
      setTimer: (run) => {
        next = run;
        return { cancel: () => void (next = undefined) };
      },
      onElected: () => told.push('elected'),
      onLost: () => told.push('lost'),
    });
    const turn = async (ms: number): Promise<void> => {
      clock.now += ms;
      const run = next;
      next = undefined;
      run?.();
      await sleep(1);
    };
    return { keeper, told, turn };
  };

  test('makes, renews and releases the lease; the other takes over', async () => {
    const api = new FakeApi();
    const first = setUp(api, 'first');
    const second = setUp(api, 'second');
    first.keeper.start();
    await sleep(1);
    second.keeper.start();
    await sleep(1);
    await first.turn(2_000);
    await second.turn(2_000);
    expect([first.told, second.told]).toEqual([['elected'], []]);
    const stored = await api.get<Lease>(RESOURCE.leases, 'default', 'operator');
    expect(stored.spec.renewTime).toMatch(/\.\d{6}Z$/);
    expect(stored.spec).toMatchObject({ holderIdentity: 'first', leaseTransitions: 0 });
    await first.keeper.stop();
    await second.turn(2_000);
    expect([first.told, second.told]).toEqual([['elected'], ['elected']]);
  });

  test('a leader that cannot renew stops leading before others may start', async () => {
    const api = new FakeApi();
    const { keeper, told, turn } = setUp(api, 'me');
    keeper.start();
    await sleep(1);
    api.fault = (request) => new ApiError(0, 'Unreachable', `${request}: no`);
    for (let i = 0; i < 4; i += 1) await turn(2_000);
    expect([keeper.leading, told]).toEqual([true, ['elected']]);
    await turn(2_000);
    expect([keeper.leading, told]).toEqual([false, ['elected', 'lost']]);
  });
});
