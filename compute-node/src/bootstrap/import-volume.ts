import type { Clock } from '@kube-aurora/clock';
import {
  fromServiceError,
  type ImportBaseRequest,
  type ImportCall,
  type PageImage,
  type SegmentState,
  type VolumeEngine,
} from '@kube-aurora/rpc';
import { WRITE_QUORUM } from '@kube-aurora/volume';
import type { Logger } from '@kube-aurora/process';
import type { SegmentEndpoint, WriterIdentity } from '../segments.ts';

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
  /** The epoch that four segments promised. */
  readonly epoch: bigint;
  readonly content: BaseContent;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A stream holds sixteen messages before it says that it has enough. */
const PAGES_PER_MESSAGE = 16;
const DEADLINE_MS = 120_000;
/** A segment that takes nothing for this long is left behind: it will copy the volume from a peer. */
const STALL_MS = 5000;
/** After four segments have everything, how long the others may still take: left behind, they copy it all once more. */
const STRAGGLER_MS = 3000;

/** The import did not reach four segments; what was written is not a volume yet. Open again: it is decided anew. */
export class ImportFailedError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ImportFailedError';
  }
}

/** Writes the content to all segments at once. Resolves when four of them are READY. Throws ImportFailedError. */
export async function importVolume(options: ImportVolumeOptions): Promise<void> {
  const { segments, identity, epoch, content, clock, logger } = options;
  const imports = segments.map((endpoint) => new SegmentImport(endpoint, clock, logger));
  const { systemIdentifier, engine, baseLsn, volumeState } = content;
  const alive = (): SegmentImport[] => imports.filter((one) => !one.failed);
  const send = async (request: ImportBaseRequest): Promise<void> => {
    await Promise.all(alive().map((one) => one.write(request)));
    if (alive().length < WRITE_QUORUM)
      throw new ImportFailedError(
        `only ${alive().length} of ${segments.length} segments take the new volume: ${imports.map((one) => one.failure).join('; ')}`,
      );
  };
  try {
    await send({ begin: { segment: identity.segment, epoch, baseLsn, systemIdentifier, volumeState, engine }, pages: [], finish: false });
    let pages: PageImage[] = [];
    for await (const page of content.pages) {
      pages.push(page);
      if (pages.length === PAGES_PER_MESSAGE) {
        await send({ begin: undefined, pages, finish: false });
        pages = [];
      }
    }
    await send({ begin: undefined, pages, finish: true });
    const ready = await finishedOnQuorum(alive(), clock);
    if (ready < WRITE_QUORUM)
      throw new ImportFailedError(`only ${ready} segments finished the import: ${imports.map((one) => one.failure).join('; ')}`);
    logger.info({ segments: ready, baseLsn }, 'the new volume is imported');
  } finally {
    for (const one of imports) one.cancel();
  }
}

/**
 * Waits until four have finished and a moment more for the others, or until too many failed. Gives how many finished.
 */
function finishedOnQuorum(imports: readonly SegmentImport[], clock: Clock): Promise<number> {
  return new Promise((resolve) => {
    let ready = 0;
    let spoken = 0;
    for (const one of imports) {
      void one.end().then((finished) => {
        spoken++;
        if (finished) ready++;
        if (spoken === imports.length) resolve(ready);
        else if (ready === WRITE_QUORUM) clock.after(STRAGGLER_MS, () => resolve(ready));
      });
    }
  });
}

class SegmentImport {
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
