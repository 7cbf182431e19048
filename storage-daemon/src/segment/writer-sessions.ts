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

/** The writers that are attached to a segment. None is of a lower epoch than the segment's. */
export class WriterSessions {
  readonly #sessions = new Set<AppendSession>();

  add(session: AppendSession): void {
    this.#sessions.add(session);
  }

  remove(session: AppendSession): void {
    this.#sessions.delete(session);
  }

  /** Fences and lets go of every writer of a lower epoch. */
  fenceBelow(epoch: bigint): void {
    for (const session of this.#sessions) {
      if (session.epoch >= epoch) continue;
      this.#sessions.delete(session);
      session.fence(epoch);
    }
  }

  acknowledge(scl: bigint): void {
    for (const session of this.#sessions) session.acknowledge(scl);
  }

  closeAll(): void {
    for (const session of this.#sessions) session.close();
    this.#sessions.clear();
  }
}
