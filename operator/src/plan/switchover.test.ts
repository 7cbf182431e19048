import { describe, expect, test } from 'vitest';
import { ANNOTATION } from '../api/names.ts';
import type { AuroraClusterStatus, SwitchoverStatus } from '../api/status-types.ts';
import type { Observed, PromotionAnswer } from '../observed/observed.ts';
import { healthy, inWords, makeCluster, NOW, outdatedPod, plan, readerReport, running, withEntry, without } from '../testing/fixtures.ts';
import { statusOf } from '../testing/statuses.ts';
import { noticesOf } from '../status/transitions.ts';

const at = (ms: number): string => new Date(NOW + ms).toISOString();
const RAN: AuroraClusterStatus = { firstReadyAt: at(-600_000), writer: 'demo-1' };
const three = healthy(makeCluster({ spec: { storage: { size: '10Gi' }, instances: 3 }, status: RAN }));

/** Asked by a person, with what the status said before. */
function asked(to: string | undefined, status: AuroraClusterStatus = {}, observed: Observed = three): Observed {
  const { annotations: _old, ...metadata } = observed.cluster.metadata;
  return {
    ...observed,
    cluster: {
      ...observed.cluster,
      metadata: { ...metadata, ...(to === undefined ? {} : { annotations: { [ANNOTATION.switchoverTo]: to } }) },
      status: { ...RAN, ...status },
    },
  };
}
const switchover = (observed: Observed): SwitchoverStatus | undefined => plan(observed).switchover;
const going = (change: Partial<SwitchoverStatus> = {}): SwitchoverStatus => ({
  to: 'demo-2',
  from: 'demo-1',
  cause: 'Annotation',
  state: 'InProgress',
  message: 'asking',
  startedAt: at(-2_000),
  ...change,
});
const answer = (kind: PromotionAnswer['kind'], startedAt = at(-2_000)): PromotionAnswer => ({
  to: 'demo-2',
  startedAt,
  kind,
  message: `it ${kind}`,
});
const TAKE_OFF = `take off ${ANNOTATION.switchoverTo}=demo-2`;
const writing = (words: readonly string[]) => words.filter((word) => !word.startsWith('mark'));

describe('a switchover that a person asks for', () => {
  test('asks the agent of that instance, once until it has answered or was given its time', () => {
    const begun = asked('demo-2');
    expect(inWords(begun)).toEqual(['ask demo-2 to write']);
    expect(switchover(begun)).toMatchObject({ to: 'demo-2', from: 'demo-1', cause: 'Annotation', state: 'InProgress', startedAt: at(0) });
    const waiting = { ...asked('demo-2', { switchover: going() }), promotion: answer('accepted') };
    expect([inWords(waiting), switchover(waiting)?.state, plan(waiting).againInMs]).toEqual([[], 'InProgress', 28_000]);
    for (const heard of [answer('unanswered'), answer('refused', at(-900_000)), undefined]) {
      const silent = asked('demo-2', { switchover: going() });
      expect(inWords(heard === undefined ? silent : { ...silent, promotion: heard })).toEqual(['ask demo-2 to write']);
    }
  });

  test('is done when that instance is the writer and takes connections', () => {
    const moved = asked('demo-2', { switchover: going(), writer: 'demo-2' });
    expect(writing(inWords(moved))).toEqual([TAKE_OFF]);
    expect(switchover(moved)).toMatchObject({
      state: 'Done',
      message: 'demo-2 writes in the place of demo-1, 2.0 s after it was asked',
      endedAt: at(0),
    });
    const failover = {
      reason: 'switchover',
      from: 'demo-1',
      at: at(-1_000),
      inPlace: true,
      phases: { drainedMs: 300 },
      transactions: { finished: 2, cutOff: 1 },
    } as const;
    const told = { ...moved, agents: withEntry(moved.agents, 'demo-2', readerReport('demo-2', { role: 'writer', failover })) };
    expect(switchover(told)).toMatchObject({
      state: 'Done',
      message:
        'demo-2 writes in the place of demo-1, 2.0 s after it was asked; of the transactions under way 2 had ended, and 1 were cut off',
      phases: { drainedMs: 300 },
      transactions: { finished: 2, cutOff: 1 },
    });
    const opening = { ...moved, agents: withEntry(moved.agents, 'demo-2', readerReport('demo-2', { phase: 'opening' })) };
    expect(switchover(opening)?.state).toBe('InProgress');
  });

  test.each<readonly [string, Observed, string]>([
    ['nobody', asked('demo-9'), "'demo-9' is no instance of demo, which has demo-1, demo-2, demo-3: name one of them"],
    ['an empty name', asked(''), "'' is no instance of demo, which has demo-1, demo-2, demo-3: name one of them"],
    ['the writer', asked('demo-1'), 'demo-1 is the writer already'],
    [
      'a lost one',
      asked('demo-2', {}, { ...three, computePods: three.computePods.filter(({ metadata }) => metadata.name !== 'demo-2') }),
      'demo-2 has no pod that stays: wait until it serves',
    ],
    [
      'one that is not ready',
      asked(
        'demo-2',
        {},
        {
          ...three,
          computePods: three.computePods.map((pod) => (pod.metadata.name === 'demo-2' ? running(pod, { ready: false }) : pod)),
          agents: withEntry(three.agents, 'demo-2', readerReport('demo-2', { phase: 'opening', message: 'waiting for storage' })),
        },
      ),
      'demo-2 takes no connections (opening: waiting for storage): wait until it serves',
    ],
    [
      'one that cannot be asked',
      asked('demo-2', {}, { ...three, agents: without(three.agents, 'demo-2') }),
      'the agent of demo-2 does not answer the operator: see kubectl logs demo-2',
    ],
    [
      'one that is too far behind',
      asked('demo-2', {}, { ...three, agents: withEntry(three.agents, 'demo-2', readerReport('demo-2', { lagMs: 45_000 })) }),
      'demo-2 is 45 s behind, and spec.readers.maxLag is 30s: wait until it has caught up',
    ],
    ['one whose agent says no', { ...asked('demo-2', { switchover: going() }), promotion: answer('refused') }, 'it refused'],
  ])('is refused for %s', (_what, observed, message) => {
    expect(inWords(observed).filter((word) => word.startsWith('ask'))).toEqual([]);
    expect(inWords(observed).filter((word) => word.startsWith('take off'))).toHaveLength(1);
    expect(switchover(observed)).toMatchObject({ state: 'Refused', message, annotated: true });
  });

  test('fails when the instance has not become the writer in its time', () => {
    const late = { ...asked('demo-2', { switchover: going({ startedAt: at(-30_000) }) }), promotion: answer('accepted', at(-30_000)) };
    expect(inWords(late)).toEqual([TAKE_OFF]);
    expect(switchover(late)).toMatchObject({
      state: 'Failed',
      message: 'demo-2 did not become the writer within 30 s (it accepted); demo-1 is the writer',
    });
  });

  test('asks once: what is told already is not asked again until the annotation is gone', () => {
    const told = going({ state: 'Refused', endedAt: at(-1_000), annotated: true });
    expect(inWords(asked('demo-2', { switchover: told }))).toEqual([TAKE_OFF]);
    expect(switchover(asked('demo-2', { switchover: told }))).toEqual(told);
    const { annotated: _gone, ...closed } = told;
    expect([inWords(asked(undefined, { switchover: told })), switchover(asked(undefined, { switchover: told }))]).toEqual([[], closed]);
    expect(inWords(asked('demo-2', { switchover: closed }))).toEqual(['ask demo-2 to write']);
    expect(inWords(asked('demo-3', { switchover: told }))).toEqual(['ask demo-3 to write']);
  });

  test('goes on when the annotation is taken away or names another one meanwhile', () => {
    expect(switchover(asked(undefined, { switchover: going() }))?.state).toBe('InProgress');
    const other = asked('demo-3', { switchover: going(), writer: 'demo-2' });
    expect(writing(inWords(other))).toEqual([]);
    expect(switchover(other)).not.toHaveProperty('annotated');
  });

  test('is told as it begins and as it ends', () => {
    const begun = asked('demo-2');
    const told = (before: AuroraClusterStatus, observed: Observed) =>
      noticesOf(before, statusOf(observed), NOW).flatMap(({ type, reason }) => (reason.startsWith('Switch') ? [`${type} ${reason}`] : []));
    expect(told(RAN, begun)).toEqual(['Normal SwitchoverStarted']);
    const during = { ...RAN, switchover: going() };
    expect(told(during, asked('demo-2', { switchover: going() }))).toEqual([]);
    expect(told(during, asked('demo-2', { switchover: going(), writer: 'demo-2' }))).toEqual(['Normal SwitchedOver']);
    expect(told(RAN, asked('demo-9'))).toEqual(['Warning SwitchoverRefused']);
  });
});

describe('a new spec, when only the writer is left', () => {
  const only = (...names: readonly string[]): Observed => ({
    ...three,
    computePods: three.computePods.map((pod) => (names.includes(pod.metadata.name) ? outdatedPod(pod) : pod)),
  });
  const last = only('demo-1');
  const inStatus = (observed: Observed, status: AuroraClusterStatus) => asked(undefined, status, observed);

  test('a reader takes its place, and its pod goes as a reader’s', () => {
    expect([inWords(only('demo-1', 'demo-3')), inWords(last)]).toEqual([['delete pod demo-3: its spec changed'], ['ask demo-2 to write']]);
    expect(plan(last).outdated).toEqual(['demo-1']);
    const during = inStatus(last, { switchover: going({ cause: 'Update' }) });
    expect(inWords({ ...during, promotion: answer('accepted') })).toEqual([]);
    const moved = inStatus(last, { switchover: going({ cause: 'Update' }), writer: 'demo-2' });
    expect(switchover(moved)?.state).toBe('Done');
    const after = inStatus(last, { switchover: going({ cause: 'Update', state: 'Done', endedAt: at(0) }), writer: 'demo-2' });
    expect(writing(inWords(after))).toEqual(['delete pod demo-1: its spec changed']);
  });

  test('the reader of the lowest tier, and of those the one that has replayed the most', () => {
    const behind = { ...last, agents: withEntry(last.agents, 'demo-2', readerReport('demo-2', { replayLsn: '0/1F00' })) };
    expect(inWords(behind)).toEqual(['ask demo-3 to write']);
    const { spec } = behind.cluster;
    const tiers = { ...behind.cluster, spec: { ...spec, instanceOverrides: [{ instance: 3, promotionTier: 9 }] } };
    const made = healthy({ ...tiers, status: RAN });
    const { configMaps } = made;
    const tiered = { ...behind, cluster: tiers, configMaps, computePods: [...last.computePods.slice(0, 1), ...made.computePods.slice(1)] };
    expect(inWords(tiered)).toEqual(['ask demo-2 to write']);
  });

  test('its pod goes as it is where no reader can take its place, or the one that was asked did not', () => {
    const replaced = ['delete pod demo-1: its spec changed'];
    const far = readerReport('demo-2', { lagMs: 60_000 });
    const lagging = { ...last, agents: new Map([...last.agents, ['demo-2', far], ['demo-3', { ...far, uid: 'uid-of-demo-3' }]]) };
    expect(inWords(lagging).filter((word) => !word.startsWith('mark'))).toEqual(replaced);
    const vain = going({ cause: 'Update', state: 'Failed', endedAt: at(-60_000) });
    expect(inWords(inStatus(last, { switchover: vain }))).toEqual(replaced);
    expect(inWords(inStatus(last, { switchover: { ...vain, endedAt: at(-700_000) } }))).toEqual(['ask demo-2 to write']);
    expect(inWords(inStatus(last, { switchover: { ...vain, cause: 'Annotation' } }))).toEqual(['ask demo-2 to write']);
  });

  test('nobody that serves is replaced while somebody takes the writer’s place', () => {
    const during = asked('demo-2', { switchover: going() }, only('demo-1', 'demo-2', 'demo-3'));
    expect(inWords({ ...during, promotion: answer('accepted') })).toEqual([]);
  });
});
