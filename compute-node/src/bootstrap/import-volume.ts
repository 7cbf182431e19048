import type { Clock } from '@kube-aurora/clock';
import {
  fromServiceError,
  type ImportBaseRequest,
  type ImportCall,
  type PageImage,
  type SegmentState,
  type VolumeEngine,
} from '@kube-aurora/rpc';
import type { Quorums, SegmentRole } from '@kube-aurora/volume';
import type { Logger } from '@kube-aurora/process';
import { quorumsOf, type SegmentEndpoint, type WriterIdentity } from '../segments.ts';

/** A new volume's first content, as initdb made it. */
export interface BaseContent {
  readonly systemIdentifier: bigint;
  /** Whose redo the volume will have. */
  readonly engine: VolumeEngine;
  /** End of initdb's shutdown checkpoint: redo follows it. */
  readonly baseLsn: bigint;
  readonly volumeState: Buffer;
  /** Every page that is not all zeros; read once. */
  readonly pages: Iterable<PageImage> | AsyncIterable<PageImage>;
}

export interface ImportVolumeOptions {
  readonly segments: readonly SegmentEndpoint[];
  readonly identity: WriterIdentity;
  /** The epoch that a quorum of segments promised. */
  readonly epoch: bigint;
  readonly content: BaseContent;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A stream holds sixteen messages before it says that it has enough. */
const PAGES_PER_MESSAGE = 16;
const DEADLINE_MS = 120_000;
/**
 * A segment that takes nothing for this long is left behind: it will copy the volume from a peer. Long, since all that it may wait for is a machine on
 * which everything starts at once, and too few that take it mean that all begins anew.
 */
const STALL_MS = 20_000;
/** After a quorum has everything, how long the others may still take: left behind, they copy it all once more. */
const STRAGGLER_MS = 3000;

/** The import did not reach a quorum; what was written is not a volume yet. Open again: it is decided anew. */
export class ImportFailedError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ImportFailedError';
  }
}

/**
 * Writes the content to all segments at once: tails are told where redo begins, and sent no pages. Resolves when a
 * write quorum of them is READY. Throws ImportFailedError.
 *
 * Invariant: a tail is done only after a full segment is. So whoever finds a tail of a volume whose import was given up
 * finds pages too, and the rest is copied from there.
 */
export async function importVolume(options: ImportVolumeOptions): Promise<void> {
  const { segments, identity, epoch, content, clock, logger } = options;
  const imports = segments.map((endpoint) => new SegmentImport(endpoint, clock, logger));
  const { systemIdentifier, engine, baseLsn, volumeState } = content;
  const quorums = quorumsOf(segments);
  const alive = (): SegmentImport[] => imports.filter((one) => !one.failed);
  const send = async (requestFor: (role: SegmentRole) => ImportBaseRequest | undefined): Promise<void> => {
    await Promise.all(
      alive().map((one) => {
        const request = requestFor(one.role);
        return request === undefined ? Promise.resolve() : one.write(request);
      }),
    );
    if (!quorums.isWrite(alive().map(({ role }) => role)))
      throw new ImportFailedError(`only ${alive().length} of ${segments.length} segments take the new volume: ${whyNot(imports)}`);
  };
  const toFull = (request: ImportBaseRequest) => (role: SegmentRole) => (role === 'FULL' ? request : undefined);
  try {
    const begin = { segment: identity.segment, epoch, baseLsn, systemIdentifier, volumeState, engine };
    await send((role) => ({ begin: { ...begin, role }, pages: [], finish: false }));
    let pages: PageImage[] = [];
    for await (const page of content.pages) {
      pages.push(page);
      if (pages.length === PAGES_PER_MESSAGE) {
        await send(toFull({ begin: undefined, pages, finish: false }));
        pages = [];
      }
    }
    await send(toFull({ begin: undefined, pages, finish: true }));
    const ready = await finishedOnQuorum(alive(), quorums, clock);
    if (!quorums.isWrite(ready)) throw new ImportFailedError(`only ${ready.length} segments finished the import: ${whyNot(imports)}`);
    logger.info({ segments: ready.length, baseLsn }, 'the new volume is imported');
  } finally {
    for (const one of imports) one.cancel();
  }
}

function whyNot(imports: readonly SegmentImport[]): string {
  return imports.flatMap(({ failure }) => (failure === '' ? [] : [failure])).join('; ');
}

/**
 * Waits until a quorum has finished and a moment more for the others, or until too many failed. Gives the roles of
 * those that finished.
 */
function finishedOnQuorum(imports: readonly SegmentImport[], quorums: Quorums, clock: Clock): Promise<SegmentRole[]> {
  return new Promise((resolve) => {
    const ready: SegmentRole[] = [];
    let spoken = 0;
    const end = (one: SegmentImport): void =>
      void one.end().then((finished) => {
        spoken++;
        const isFirst = finished && ready.length === 0;
        const wasEnough = quorums.isWrite(ready);
        if (finished) ready.push(one.role);
        // Only now: see importVolume.
        if (isFirst)
          for (const tail of imports)
            if (tail.role === 'TAIL') void tail.write({ begin: undefined, pages: [], finish: true }).then(() => end(tail));
        if (spoken === imports.length) resolve(ready);
        else if (!wasEnough && quorums.isWrite(ready)) clock.after(STRAGGLER_MS, () => resolve(ready));
        else if (ready.length === 0 && spoken === imports.filter(({ role }) => role === 'FULL').length) resolve(ready);
      });
    for (const one of imports) if (one.role === 'FULL') end(one);
  });
}

class SegmentImport {
  readonly role: SegmentRole;
  failed = false;
  failure = '';
  readonly #endpoint: SegmentEndpoint;
  readonly #call: ImportCall;
  readonly #answer: Promise<SegmentState>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #answered = false;

  constructor(endpoint: SegmentEndpoint, clock: Clock, logger: Logger) {
    this.#endpoint = endpoint;
    this.role = endpoint.role;
    this.#clock = clock;
    this.#logger = logger;
    const { call, answer } = endpoint.client.importBase({ deadlineMs: DEADLINE_MS });
    this.#call = call;
    this.#answer = answer;
    this.#call.on('error', (error: unknown) => this.#fail(error));
    this.#answer.then(
      () => (this.#answered = true),
      (error: unknown) => this.#fail(error),
    );
  }

  /** Resolves when the segment can take more. Never rejects: a failure marks the segment. */
  write(request: ImportBaseRequest): Promise<void> {
    if (this.failed || this.#call.write(request)) return Promise.resolve();
    return new Promise((resolve) => {
      const finish = (): void => {
        timer.cancel();
        this.#call.off('drain', finish);
        this.#call.off('error', finish);
        this.#call.off('close', finish);
        resolve();
      };
      const timer = this.#clock.after(STALL_MS, () => {
        this.#fail(new Error(`takes nothing for ${STALL_MS} ms`));
        this.cancel();
        finish();
      });
      this.#call.once('drain', finish);
      this.#call.once('error', finish);
      this.#call.once('close', finish);
      void this.#answer.then(finish, finish);
    });
  }

  async end(): Promise<boolean> {
    if (this.failed) return false;
    this.#call.end();
    try {
      return (await this.#answer).phase === 'READY';
    } catch (error) {
      this.#fail(error);
      return false;
    }
  }

  cancel(): void {
    if (!this.#answered) this.#call.cancel();
  }

  #fail(error: unknown): void {
    if (this.failed) return;
    this.failed = true;
    this.failure = fromServiceError(error, this.#endpoint.id).message;
    this.#logger.warn({ segment: this.#endpoint.id, reason: this.failure }, 'segment does not take the import');
  }
}
