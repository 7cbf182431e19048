import { expect, it } from 'vitest';
import { DurableEvent } from '../redo-log/durable-event.ts';
import { WriterSessions, type AppendSession } from './writer-sessions.ts';

function session(epoch: bigint): AppendSession & { readonly heard: string[] } {
  const heard: string[] = [];
  return {
    epoch,
    heard,
    acknowledge: (scl) => void heard.push(`durable to ${scl}`),
    fence: (by) => void heard.push(`fenced by ${by}`),
    close: () => void heard.push('closed'),
  };
}

it('sessions hear what is durable while they are attached, each from when it is: fenced and closed ones no more', () => {
  const durable = new DurableEvent();
  const sessions = new WriterSessions(durable);
  const [older, newer, gone] = [session(2n), session(3n), session(3n)];
  const say = (lsn: bigint): void => durable.emit({ lsn, epoch: 3n });
  sessions.add(older);
  say(10n);
  sessions.add(newer);
  sessions.add(gone);
  // Twice is once.
  sessions.add(gone);
  sessions.fenceBelow(3n);
  say(20n);
  sessions.remove(gone);
  say(30n);
  sessions.closeAll();
  say(40n);
  expect(older.heard).toEqual(['durable to 10', 'fenced by 3']);
  expect(newer.heard).toEqual(['durable to 20', 'durable to 30', 'closed']);
  expect(gone.heard).toEqual(['durable to 20']);
});
