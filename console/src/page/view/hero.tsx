import type { ClusterAnswer } from '../../answers/answers.ts';
import { LEVEL } from '../model/tones.ts';
import { age, moment } from '../model/words.ts';
import { Mark } from './mark.tsx';

/** Is it well, since when, what is lost, what to do next: the first look answers these four. */
export function Hero({ cluster, now }: { readonly cluster: ClusterAnswer; readonly now: number }) {
  const { health, copies } = cluster;
  const { tone, word } = LEVEL[health.level];
  const sentence = health.headline.replace(/^[A-Za-z]+( for [^:]+)?: /, '');
  const lost =
    health.meaning.length > 0
      ? health.meaning
      : copies === null
        ? ['There is no volume yet.']
        : [
            'Nothing. Every commit is on a write quorum of copies.',
            copies.toSpare > 0 ? `Writes go on also without ${copies.toSpare === 1 ? 'one copy' : `${copies.toSpare} copies`}.` : '',
          ].filter((line) => line !== '');
  return (
    <section class={`hero tone-${tone}`} aria-label="How the cluster is">
      <div class="hero-state">
        <Mark tone={tone} size={44} />
        <div>
          <h1>
            {word}
            {cluster.phase !== null && cluster.phase !== word && health.level !== 'well' && <span class="hero-phase">{cluster.phase}</span>}
          </h1>
          <p role="status">{sentence.charAt(0).toUpperCase() + sentence.slice(1)}.</p>
        </div>
      </div>
      <dl class="answers">
        <div>
          <dt>Since</dt>
          <dd>
            {health.since === undefined ? (
              'not known'
            ) : (
              <>
                <strong>{age(health.since, now)}</strong> <span class="quiet nowrap">{moment(health.since, now)} UTC</span>
              </>
            )}
          </dd>
        </div>
        <div>
          <dt>What is lost</dt>
          <dd>
            {lost.map((line) => (
              <p key={line}>{line}</p>
            ))}
          </dd>
        </div>
        <div>
          <dt>What to do next</dt>
          <dd>
            {health.next.length === 0 ? (
              <p>
                {health.level === 'well'
                  ? 'Nothing.'
                  : health.level === 'busy'
                    ? 'Nothing: it comes by itself.'
                    : 'See what is told below.'}
              </p>
            ) : (
              <Steps commands={health.next} />
            )}
          </dd>
        </div>
      </dl>
      {health.problems.length > 0 && (
        <ul class="problems">
          {health.problems.map(({ about, reason, message, since }) => (
            <li key={about}>
              <strong>{reason}</strong> <span class="quiet">{since === undefined ? about : `${about}, for ${age(since, now)}`}</span>
              <p>{message}</p>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

/** Commands to paste: the console changes nothing itself. The remark of one stands after its number sign. */
function Steps({ commands }: { readonly commands: readonly string[] }) {
  return (
    <ol class="steps">
      {commands.map((line) => {
        const [command = '', remark] = line.split(/ {2,}# /);
        return (
          <li key={line}>
            <code>{command}</code>
            {remark !== undefined && <span class="quiet"> {remark}</span>}
          </li>
        );
      })}
    </ol>
  );
}
