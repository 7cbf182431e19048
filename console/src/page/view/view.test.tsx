import { render } from 'preact-render-to-string';
import { describe, expect, test } from 'vitest';
import { watchedHour, SCENES, SCENE_NOW, type SceneName } from '../../testing/scenes.ts';
import { STEP_MS } from '../../history/ring.ts';
import { clusterAnswer, clusterLine } from '../../view/present.ts';
import { extended } from '../model/hour.ts';
import type { ConsoleState } from '../use-console.ts';
import { App } from './app.tsx';

const HEARD = { heardAt: SCENE_NOW, silentSince: null, problem: null };

const known = new Map<SceneName, Promise<ConsoleState>>();

/** An hour of a scene is watched once. */
function stateOf(name: SceneName): Promise<ConsoleState> {
  const state = known.get(name) ?? watchedState(name);
  known.set(name, state);
  return state;
}

async function watchedState(name: SceneName): Promise<ConsoleState> {
  const scene = SCENES[name];
  const overview = { at: SCENE_NOW, watch: HEARD, clusters: scene.views.map(clusterLine) };
  const [view] = scene.views;
  const base = { refused: undefined, overview, now: SCENE_NOW, silentSince: undefined };
  if (view === undefined) return { ...base, cluster: undefined, hour: undefined };
  const watch = await watchedHour(view, scene);
  const hour = extended(undefined, { at: SCENE_NOW, stepMs: STEP_MS, ...watch.history.after(0) });
  return { ...base, cluster: clusterAnswer(view, watch, HEARD), hour };
}

const pageOf = (state: ConsoleState): string => render(<App {...state} onToken={() => undefined} />);
/** What is read. */
const words = (html: string): string =>
  html
    .replaceAll(/<[^>]+>/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim();

describe('the first look answers', () => {
  test.each<[SceneName, readonly (string | RegExp)[]]>([
    [
      'healthy',
      [
        'Well',
        'Reads and writes go on',
        'What is lost Nothing.',
        'What to do next Nothing.',
        '2.4 s',
        'found lost 2.1 s',
        'VACUUM (FREEZE',
      ],
    ],
    ['failover going on', ['Down', 'There is no writer at present', 'step 3 of 7', 'There is no writer now. How another took its place']],
    ['lost zone', ['Degraded', '4m', 'Nothing acknowledged is lost', 'No further copy may be lost', 'kubectl get nodes']],
    ['disk full', ['disk full', '12 MiB free', 'kubectl patch auroracluster']],
    ['quorum lost', ['Down', 'Commits wait until a write quorum of copies is up again']],
    ['no readers', ['nothing heard from demo-storage-5 for', 'kubectl describe pod demo-storage-5']],
    ['fifteen readers', ['16 of 16 instances', 'demo-16', /4\d ms behind/]],
    ['several clusters', ['orders', 'ledger', 'bank', '4/6 copies']],
    ['no cluster', ['No cluster yet', 'kubectl apply']],
  ])('%s', async (name, expected) => {
    const text = words(pageOf(await stateOf(name)));
    for (const part of expected) expect(text).toMatch(part instanceof RegExp ? part : new RegExp(part.replaceAll(/[.()+*?]/g, '\\$&')));
  });
});

describe('what is not of now', () => {
  test('is said to be of then: the console does not answer', async () => {
    const state = await stateOf('healthy');
    const text = words(pageOf({ ...state, silentSince: SCENE_NOW, now: SCENE_NOW + 12_000 }));
    expect(text).toContain('The console has not answered for 12s: what is shown is of 12:00:00 UTC.');
    expect(text).toContain('as of 12:00:00 UTC');
  });

  test('nor does the API server', async () => {
    const state = await stateOf('healthy');
    const watch = { heardAt: SCENE_NOW - 20_000, silentSince: SCENE_NOW - 12_000, problem: 'refused' };
    const cluster = state.cluster === undefined ? undefined : { ...state.cluster, watch };
    expect(words(pageOf({ ...state, cluster }))).toContain('The API server has not answered the console for 12s');
  });

  test('no figures yet', async () => {
    const state = await stateOf('healthy');
    expect(words(pageOf({ ...state, hour: undefined }))).toContain('The first figures come after twenty seconds.');
  });
});

test('who is not let in is asked for a token, and sees nothing else', async () => {
  const html = pageOf({ ...(await stateOf('healthy')), refused: 'send a bearer token' });
  expect(html).toContain('type="password"');
  expect(html).not.toContain('demo');
});

test('texts of others are text: nothing that a message holds becomes part of the page', async () => {
  const state = await stateOf('healthy');
  const nasty = '<script>alert(1)</script><img src=x onerror=alert(1)>';
  const cluster =
    state.cluster === undefined
      ? undefined
      : { ...state.cluster, events: [{ at: '2026-11-21T12:00:00Z', warning: true, reason: nasty, message: nasty, count: 1 }] };
  const html = pageOf({ ...state, cluster });
  expect(html).toContain('&lt;script>');
  expect(html).not.toMatch(/<script|<img/);
});

test('nothing in the page is styled or scripted in its place: the policy would refuse it', async () => {
  for (const name of Object.keys(SCENES) as SceneName[]) expect(pageOf(await stateOf(name))).not.toMatch(/ style=|<script| on[a-z]+=/);
});
