import type { DurableEvent } from '../redo-log/durable-event.ts';

/** A writer's stream, as the segment sees it. */
export interface AppendSession {
  readonly epoch: bigint;
  /** Redo is on disk up to here. */
  acknowledge(scl: bigint): void;
  /** A higher epoch holds from now on. */
  fence(epoch: bigint): void;
  /** The segment goes away. */
  close(): void;
}

/**
 * The writers that are attached to a segment: while they are, they hear what is durable. None is of a lower epoch than
 * the segment's.
 */
export class WriterSessions {
  readonly #durable: DurableEvent;
  /** With what ends their subscription. */
  readonly #sessions = new Map<AppendSession, () => void>();

  constructor(durable: DurableEvent) {
    this.#durable = durable;
  }

  add(session: AppendSession): void {
    this.remove(session);
    this.#sessions.set(
      session,
      this.#durable.subscribe(({ lsn }) => session.acknowledge(lsn)),
    );
  }

  remove(session: AppendSession): void {
    this.#sessions.get(session)?.();
    this.#sessions.delete(session);
  }

  /** Fences and lets go of every writer of a lower epoch. */
  fenceBelow(epoch: bigint): void {
    for (const session of this.#sessions.keys()) {
      if (session.epoch >= epoch) continue;
      this.remove(session);
      session.fence(epoch);
    }
  }

  closeAll(): void {
    for (const session of this.#sessions.keys()) {
      this.remove(session);
      session.close();
    }
  }
}
