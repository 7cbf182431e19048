import type { AgentEvent } from './agent-table.ts';
import type { SessionEnd } from './session/session.ts';

/** What the end of a session is to the agent. */
export function eventOf(end: SessionEnd): AgentEvent {
  switch (end.kind) {
    case 'failed':
      return end.reason;
    case 'damaged':
      return 'damagedWal';
    case 'fenced':
    case 'restarting':
    case 'stopped':
      return end.kind;
    case 'handedOver':
      throw new Error('a session was handed over, and none took its place');
  }
}

/** For people. */
export function messageOf(end: SessionEnd): string {
  switch (end.kind) {
    case 'failed':
    case 'damaged':
    case 'fenced':
      return end.message;
    case 'restarting':
      return `restarting PostgreSQL: ${end.why}`;
    case 'stopped':
      return 'stopping';
    case 'handedOver':
      return 'the writer is made of the reader';
  }
}
