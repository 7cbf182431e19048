import type { ConsoleState } from '../use-console.ts';
import type { ClusterLine } from '../../answers/answers.ts';
import { LEVEL } from '../model/tones.ts';
import { age, moment } from '../model/words.ts';
import { Advice } from './advice.tsx';
import { Charts } from './charts.tsx';
import { Events } from './events.tsx';
import { Handovers } from './handovers.tsx';
import { Hero } from './hero.tsx';
import { Mark } from './mark.tsx';
import { SignIn } from './sign-in.tsx';
import { Tiles } from './tiles.tsx';
import { ZoneMap } from './zone-map.tsx';

/** The whole page, from what is known. */
export function App(state: ConsoleState & { readonly onToken: (token: string) => void }) {
  const { refused, overview, cluster, hour, now, onToken } = state;
  if (refused !== undefined) return <SignIn reason={refused} onToken={onToken} />;
  return (
    <>
      <Top {...state} />
      <Stale {...state} />
      <main>
        {overview !== undefined && overview.clusters.length > 1 && (
          <Clusters clusters={overview.clusters} shown={cluster === undefined ? undefined : keyOf(cluster)} />
        )}
        {cluster === undefined ? (
          <Waiting {...state} />
        ) : (
          <>
            <Hero cluster={cluster} now={now} />
            <Tiles cluster={cluster} hour={hour} />
            <ZoneMap cluster={cluster} now={now} />
            <Charts cluster={cluster} hour={hour} />
            <div class="columns">
              <Handovers
                handovers={cluster.handovers}
                hasWriter={cluster.instances.some(({ role, state }) => role === 'writer' && state === 'Serving')}
                now={now}
              />
              <Events events={cluster.events} now={now} />
              <Advice advice={cluster.advice} now={now} />
            </div>
          </>
        )}
      </main>
      <footer class="quiet">Times are UTC. The console only looks: what is to be done is done with kubectl.</footer>
    </>
  );
}

const keyOf = ({ namespace, name }: { readonly namespace: string; readonly name: string }): string => `${namespace}/${name}`;

function Top({ cluster, now, silentSince }: ConsoleState) {
  return (
    <header class="top">
      <p class="brand">
        <svg width="24" height="24" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
          <path class="brand-one" d="M4 19c4-10 8-10 12-4s7 5 12-7" />
          <path class="brand-two" d="M4 25c4-8 8-8 12-3s7 4 12-6" />
        </svg>
        kube-aurora
      </p>
      {cluster !== undefined && (
        <p class="cluster-name">
          <strong>{cluster.name}</strong> <span class="quiet">in {cluster.namespace}</span>
        </p>
      )}
      <p class={`live${silentSince === undefined ? '' : ' is-silent'}`}>
        <span class="dot" aria-hidden="true" />
        {cluster === undefined ? 'connecting' : silentSince === undefined ? 'live' : `as of ${moment(cluster.at, now)} UTC`}
      </p>
    </header>
  );
}

/** Says so when what is shown is not of now. */
function Stale({ cluster, overview, now, silentSince }: ConsoleState) {
  const watch = cluster?.watch ?? overview?.watch;
  const lines = [
    silentSince !== undefined && overview !== undefined
      ? `The console has not answered for ${age(silentSince, now)}: what is shown is of ${moment(cluster?.at ?? overview.at, now)} UTC.`
      : undefined,
    watch !== undefined && watch.silentSince !== null && silentSince === undefined
      ? `The API server has not answered the console for ${age(watch.silentSince, now)}: states and events are of ${watch.heardAt === null ? 'no time yet' : `${moment(watch.heardAt, now)} UTC`}; figures of the programs go on. ${watch.problem ?? ''}`
      : undefined,
  ].filter((line) => line !== undefined);
  return (
    <>
      {lines.map((line) => (
        <p key={line.slice(0, 20)} class="stale" role="alert">
          <Mark tone="warn" /> {line}
        </p>
      ))}
    </>
  );
}

function Clusters({ clusters, shown }: { readonly clusters: readonly ClusterLine[]; readonly shown: string | undefined }) {
  return (
    <nav class="clusters" aria-label="Clusters">
      {clusters.map((one) => {
        const { tone, word } = LEVEL[one.level];
        const key = keyOf(one);
        return (
          <a key={key} class={`tone-${tone}`} href={`#/${key}`} aria-current={key === shown ? 'page' : undefined} title={one.headline}>
            <Mark tone={tone} />
            <span>
              <strong>{one.name}</strong> <span class="quiet">{one.namespace}</span>
              <br />
              <span class="quiet">
                {word} · {one.copiesUp}/{one.copies} copies · {one.serving}/{one.instances} instances
              </span>
            </span>
          </a>
        );
      })}
    </nav>
  );
}

function Waiting({ overview, silentSince }: ConsoleState) {
  if (overview === undefined)
    return (
      <p class="empty page-empty">
        {silentSince === undefined ? 'Asking the console …' : 'The console does not answer. Asked again every few seconds.'}
      </p>
    );
  if (overview.clusters.length > 0) return <p class="empty page-empty">Looking at the cluster …</p>;
  return (
    <section class="panel page-empty">
      <h1>No cluster yet</h1>
      <p>
        {overview.watch.heardAt === null
          ? `The API server has not answered the console yet. ${overview.watch.problem ?? ''}`
          : 'There is no AuroraCluster that this console sees. Apply one, and it appears here:'}
      </p>
      {overview.watch.heardAt !== null && <pre>kubectl apply -f deploy/samples/demo.yaml</pre>}
    </section>
  );
}
