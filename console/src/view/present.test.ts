import type { ClusterView } from '@kube-aurora/cluster-view';
import { describe, expect, test } from 'vitest';
import { firstView, SCENE_NOW, SCENES, scrapeOf, watchedHour, type Scene } from '../testing/scenes.ts';
import { ClusterWatch, rememberHandovers } from '../watch/cluster-watch.ts';
import { clusterAnswer } from './present.ts';

const HEARD = { heardAt: SCENE_NOW, silentSince: null, problem: null };

async function answerOf(scene: Scene) {
  const view = firstView(scene);
  return clusterAnswer(view, await watchedHour(view, scene), HEARD);
}

describe('what the page is told', () => {
  test('has figures of who answers, and says of who does not since when', async () => {
    const { segments, instances, now } = await answerOf(SCENES['no readers']);
    expect(now?.commitP50Ms).toBeGreaterThan(0.5);
    expect(now?.transactionsPerSecond).toBeGreaterThan(100);
    expect(instances[0]).toMatchObject({ name: 'demo-1', role: 'writer', silentSince: null });
    expect(segments.map(({ silentSince }) => silentSince === null)).toEqual([true, true, true, true, true, false]);
    const [silent] = segments.slice(-1);
    expect(SCENE_NOW - (silent?.heardAt ?? 0)).toBeGreaterThanOrEqual(10_000);
    // Of then, not of now.
    expect(silent?.diskFree).toBeNull();
  });

  test('keeps what happened when nobody tells any more', async () => {
    const view = firstView(SCENES['failover going on']);
    const watch = await watchedHour(view, SCENES['failover going on']);
    const { now, instances, health } = clusterAnswer(view, watch, HEARD);
    expect(now).toBeNull();
    expect(health.level).toBe('down');
    expect(instances.find(({ name }) => name === 'demo-2')).toMatchObject({ message: 'asking storage for the volume (step 3 of 7)' });
    expect(watch.history.after(0).series['readerLag:demo-3']?.length).toBe(360);
  });

  test('holds nothing that is not shown: no Secret, annotation, environment or label of the objects', async () => {
    const marked = <T>(value: T): T =>
      JSON.parse(
        JSON.stringify(value, (key, inner: unknown) =>
          key === 'metadata' && typeof inner === 'object'
            ? { ...inner, annotations: { note: 'sEcReT-annotation' }, managedFields: [{ manager: 'sEcReT-manager' }] }
            : key === 'spec' && typeof inner === 'object'
              ? { ...inner, bootstrap: { sql: 'sEcReT-sql' }, containers: [{ name: 'c', env: [{ name: 'P', value: 'sEcReT-env' }] }] }
              : inner,
        ),
      ) as T;
    for (const scene of [SCENES.healthy, SCENES['lost zone'], SCENES['disk full'], SCENES['fifteen readers']]) {
      const views = scene.views.map((view): ClusterView =>
        marked({ ...view, cluster: { ...view.cluster, status: { ...view.cluster.status, secrets: { app: 'sEcReT-name' } } } }),
      );
      const told = JSON.stringify(await answerOf({ ...scene, views }));
      expect(told).not.toMatch(/secret|annotation|password|managedFields/i);
    }
  });
});

test('a pod of the same name begins anew: nothing of the one before counts as growth', async () => {
  const view = firstView(SCENES.healthy);
  const watch = new ClusterWatch();
  let at = SCENE_NOW - 20_000;
  const scrape = scrapeOf(SCENES.healthy, () => at);
  await watch.look(view.cluster, view.pods ?? [], scrape, () => at);
  at += 10_000;
  const replaced = view.pods?.map((pod) => ({ ...pod, metadata: { ...pod.metadata, uid: `another ${pod.metadata.name}` } })) ?? [];
  await watch.look(view.cluster, replaced, scrape, () => at);
  expect(watch.figures('demo-2')?.transactionsPerSecond).toBeUndefined();
  at += 10_000;
  await watch.look(view.cluster, replaced, scrape, () => at);
  expect(watch.figures('demo-2')?.transactionsPerSecond).toBeGreaterThan(100);
});

test('failovers and switchovers of earlier are kept, each once, and not without end', () => {
  const switchover = (second: number, state: string) => ({
    switchover: {
      to: 'demo-2',
      from: 'demo-1',
      state,
      startedAt: `2026-11-21T10:00:${String(second).padStart(2, '0')}Z`,
      phases: { drainedMs: 12, readyMs: 30 },
    },
  });
  let known = rememberHandovers([], switchover(1, 'InProgress'));
  known = rememberHandovers(known, switchover(1, 'Done'));
  expect(known).toMatchObject([
    {
      state: 'Done',
      tookMs: 42,
      parts: [
        { name: 'drained', ms: 12 },
        { name: 'ready', ms: 30 },
      ],
    },
  ]);
  for (let second = 2; second < 50; second++) known = rememberHandovers(known, switchover(second, 'Done'));
  expect(known).toHaveLength(20);
  expect(known[0]?.at).toBe('2026-11-21T10:00:49Z');
});

test('a look that comes late leaves no gap; one that comes very late does', async () => {
  const view = firstView(SCENES.healthy);
  const watch = new ClusterWatch();
  let at = SCENE_NOW - 200_000;
  const scrape = scrapeOf(SCENES.healthy, () => at);
  for (const laterMs of [0, 10_000, 21_000, 10_000, 60_000, 10_000]) {
    at += laterMs;
    await watch.look(view.cluster, view.pods ?? [], scrape, () => at);
  }
  const told = watch.history.after(SCENE_NOW - 200_000).series['transactionsPerSecond'] ?? [];
  expect(told.map((value) => value !== null)).toEqual([true, true, true, true, false, false, false, false, false, true, true]);
});
