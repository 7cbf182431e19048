import type { AdviceView } from '../../answers/answers.ts';
import { SEVERITY } from '../model/tones.ts';
import { age } from '../model/words.ts';
import { Mark } from './mark.tsx';

/** What an administrator would do in the database. */
export function Advice({ advice, now }: { readonly advice: readonly AdviceView[]; readonly now: number }) {
  return (
    <section class="panel" aria-label="Advice">
      <header>
        <h2>Advice</h2>
        <p class="quiet">the writer looks around its databases every ten minutes, daemons at their disks</p>
      </header>
      {advice.length === 0 ? (
        <p class="empty">Nothing to advise.</p>
      ) : (
        <ul class="advice">
          {advice.map(({ id, severity, subject, what, since, remedy, query }) => (
            <li key={`${id} ${subject ?? ''}`}>
              <Mark tone={SEVERITY[severity] ?? 'busy'} />
              <div>
                <p>
                  <strong>{subject ?? 'PostgreSQL'}</strong> <span class="role">{severity}</span>
                  <span class="quiet"> for {age(since, now)}</span>
                </p>
                <p>{what}</p>
                <p>
                  <span class="quiet">Remedy: </span>
                  {remedy}
                </p>
                <details>
                  <summary>The query that shows it</summary>
                  <pre tabIndex={0}>{query}</pre>
                </details>
              </div>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
