import { transactionsText } from '@kube-aurora/cluster-view/units';
import type { HandoverView } from '../../answers/answers.ts';
import { HANDOVER } from '../model/tones.ts';
import { age, duration, moment, PART_WORDS, REASON_WORDS } from '../model/words.ts';
import { Mark } from './mark.tsx';

const SHOWN_MAX = 8;
const COLOURS: Readonly<Record<string, number>> = { detected: 1, drained: 6, opened: 0, fed: 5, promoted: 4, ready: 2 };

interface HandoversProps {
  readonly handovers: readonly HandoverView[];
  readonly hasWriter: boolean;
  readonly now: number;
}

/** How the writer's place went to another, and what each part took. */
export function Handovers({ handovers, hasWriter, now }: HandoversProps) {
  return (
    <section class="panel" aria-label="Failovers and switchovers">
      <header>
        <h2>Failovers and switchovers</h2>
        <p class="quiet">the last, and others since the console runs</p>
      </header>
      {handovers.length === 0 ? (
        <p class="empty">
          {hasWriter
            ? 'None that is known: the writer has kept its place.'
            : 'There is no writer now. How another took its place is told here once it serves.'}
        </p>
      ) : (
        <ol class="handovers">
          {handovers.slice(0, SHOWN_MAX).map((handover) => (
            <Handover key={`${handover.kind} ${handover.at}`} handover={handover} now={now} />
          ))}
        </ol>
      )}
    </section>
  );
}

function Handover({ handover, now }: { readonly handover: HandoverView; readonly now: number }) {
  const { kind, at, from, to, state, reason, message, tookMs, inPlace, parts, transactions } = handover;
  const tone = HANDOVER[state] ?? 'warn';
  const facts = [
    reason === null ? undefined : (REASON_WORDS[reason] ?? reason),
    inPlace === null ? undefined : inPlace ? 'its sessions and cache went on' : 'a new PostgreSQL was started',
    transactions === null ? undefined : transactionsText(transactions),
  ].filter((fact) => fact !== undefined);
  return (
    <li>
      <p class="handover-head">
        <Mark tone={tone} />
        <strong>
          {from ?? '?'} → {to}
        </strong>
        <span class="role">{kind}</span>
        {state !== 'Done' && <span class="state-word">{state === 'InProgress' ? 'going on' : state.toLowerCase()}</span>}
        {tookMs !== null && <strong class="took">{duration(tookMs)}</strong>}
      </p>
      <p class="quiet">
        {moment(at, now)} UTC, {age(at, now)} ago{facts.length === 0 ? '' : ` · ${facts.join(' · ')}`}
      </p>
      {state !== 'Done' && message !== null && message !== '' && <p class="message">{message}</p>}
      {parts.length > 0 && <Parts parts={parts} />}
    </li>
  );
}

/** A strip in the parts' proportions, and each in words: a part too short to be seen is still told. */
function Parts({ parts }: { readonly parts: HandoverView['parts'] }) {
  const all = Math.max(
    1,
    parts.reduce((sum, { ms }) => sum + ms, 0),
  );
  let done = 0;
  return (
    <>
      <svg class="strip" width="100%" height="10" aria-hidden="true" focusable="false">
        {parts.map(({ name, ms }) => {
          const x = (done / all) * 100;
          done += ms;
          return <rect key={name} class={`colour-${COLOURS[name] ?? 7}`} x={`${x}%`} width={`${(ms / all) * 100}%`} height="10" />;
        })}
      </svg>
      <ul class="legend">
        {parts.map(({ name, ms }) => (
          <li key={name}>
            <svg class={`swatch colour-${COLOURS[name] ?? 7}`} width="10" height="10" aria-hidden="true" focusable="false">
              <rect width="10" height="10" rx="2" />
            </svg>
            {PART_WORDS[name] ?? name} <span class="number">{duration(ms)}</span>
          </li>
        ))}
      </ul>
    </>
  );
}
