import { clusterAnswer, clusterLine } from '../view/present.ts';
import type { HistoryAnswer, OverviewAnswer } from '../answers/answers.ts';
import type { ConsoleWatch } from '../watch/console-watch.ts';
import { STEP_MS } from '../history/ring.ts';
import type { Admission } from './access.ts';

/** What is asked for, of what there is. */
export type Route =
  | { readonly kind: 'overview' }
  | { readonly kind: 'cluster' | 'history'; readonly namespace: string; readonly name: string; readonly since: number };

const NAME = '([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)';
const CLUSTER = new RegExp(`^/api/clusters/${NAME}/${NAME}(/history)?$`);

/** Undefined: there is no such thing. */
export function routeOf(path: string, query: URLSearchParams): Route | undefined {
  if (path === '/api/overview') return { kind: 'overview' };
  const match = CLUSTER.exec(path);
  if (match === null) return undefined;
  const [, namespace = '', , name = '', , history] = match;
  const since = Number(query.get('since') ?? '0');
  if (!Number.isSafeInteger(since) || since < 0) return undefined;
  return { kind: history === undefined ? 'cluster' : 'history', namespace, name, since };
}

export interface Answer {
  readonly code: number;
  readonly body: object;
}

const problem = (code: number, reason: string, message: string): Answer => ({ code, body: { reason, message } });

/** Why somebody is not let in. */
export function refusalOf(kind: Exclude<Admission['kind'], 'admitted'>): Answer {
  switch (kind) {
    case 'noToken':
      return problem(401, 'TokenWanted', 'send a bearer token that may get auroraclusters');
    case 'badToken':
      return problem(401, 'TokenUnknown', 'the API server does not know this token, or it has run out');
    case 'busy':
      return problem(429, 'Busy', 'too many tokens are looked at now; ask again in a second');
    case 'unanswered':
      return problem(503, 'ApiServerSilent', 'the API server does not say whose token this is; ask again');
    default:
      return kind satisfies never;
  }
}

/** What who was let in is told. */
export async function answerTo(
  route: Route,
  watch: ConsoleWatch,
  may: (namespace: string) => Promise<boolean>,
  now: number,
): Promise<Answer> {
  if (route.kind === 'overview') {
    const seen = await Promise.all(
      watch.clusters.map(async (cluster) => ((await may(cluster.metadata.namespace ?? '')) ? [cluster] : [])),
    ).then((lists) => lists.flat());
    if (seen.length === 0 && watch.clusters.length > 0)
      return problem(403, 'NothingToSee', 'this token may get auroraclusters in none of the namespaces that have one');
    const body: OverviewAnswer = {
      at: now,
      watch: watch.state,
      clusters: seen.map((cluster) => clusterLine({ cluster, pods: undefined, events: undefined, now })),
    };
    return { code: 200, body };
  }
  const { namespace, name, since } = route;
  // Who may not see it does not learn whether it is there.
  const found = (await may(namespace)) ? watch.view(namespace, name) : undefined;
  if (found === undefined)
    return problem(404, 'NoSuchCluster', `there is no AuroraCluster ${namespace}/${name}, or this token may not get it`);
  if (route.kind === 'cluster') return { code: 200, body: clusterAnswer(found.view, found.watch, watch.state) };
  const body: HistoryAnswer = { at: now, stepMs: STEP_MS, ...found.watch.history.after(since) };
  return { code: 200, body };
}
