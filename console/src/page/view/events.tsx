import type { EventView } from '../../answers/answers.ts';
import { age, moment } from '../model/words.ts';
import { Mark } from './mark.tsx';

/** What Kubernetes keeps of what befell the cluster, newest first. */
export function Events({ events, now }: { readonly events: readonly EventView[] | null; readonly now: number }) {
  return (
    <section class="panel" aria-label="Recent events">
      <header>
        <h2>Recent events</h2>
        <p class="quiet">Kubernetes keeps them for an hour</p>
      </header>
      {events === null ? (
        <p class="empty">The console may not list events here: its role has no right to.</p>
      ) : events.length === 0 ? (
        <p class="empty">None in the last hour.</p>
      ) : (
        <ol class="events" tabIndex={0} aria-label="Events, newest first">
          {events.map(({ at, warning, reason, message, count }) => (
            <li key={`${at} ${reason} ${message}`}>
              <Mark tone={warning ? 'warn' : 'good'} size={14} />
              <div>
                <p>
                  <strong>{reason}</strong>
                  {count > 1 && <span class="quiet"> {count} times</span>}
                  <time class="quiet" dateTime={at} title={`${moment(at, now)} UTC`}>
                    {age(at, now)} ago
                  </time>
                </p>
                <p class="event-message">{message}</p>
              </div>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}
