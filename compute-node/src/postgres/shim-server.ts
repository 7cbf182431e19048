import { randomBytes } from 'node:crypto';
import { chmod, chown, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import type { FlushAnswer } from '../flush-outcome.ts';
import type { PagesAlong } from '../read-path/page-source.ts';
import {
  encodeResponse,
  PAGE_BYTES,
  RequestParser,
  STATUS,
  type FlushRequest,
  type ReadPagesRequest,
  type ShimRequest,
  type WroteNotice,
} from './shim-protocol.ts';

export type { FlushRequest, ReadPagesRequest } from './shim-protocol.ts';

/** A backend that does not take its answer is not waited for. */
const CLOSE_WITHIN_MS = 100;
/** Of the event loop: for as long as backends keep coming, and no longer. A connection takes one, what it asks another. */
const QUIET_TURNS = 3;
const TURNS_MAX = 200;

/** The volume driver's side. A rejected promise reaches PostgreSQL as EIO: PANIC for a flush, ERROR for a read. */
export interface ShimHandlers {
  /** PostgreSQL has written WAL that it has not flushed. Does not throw. */
  wrote(notice: WroteNotice): void;
  /**
   * PostgreSQL holds its WAL write lock meanwhile: at most one flush is open at a time, and nobody writes WAL below it.
   * Resolve as soon as the volume is durable: commits wait for exactly this, unless it is 'sent'.
   */
  flush(request: FlushRequest): Promise<FlushAnswer>;
  /**
   * `count * 8192` bytes, in buffers of one or more blocks: each block as of an LSN in [request.lsn, durable LSN], or
   * read earlier but not below request.holesSince. Zeros for a block or relation that the volume does not have (just
   * extended, or not logged). Aborted: the backend does not wait any more (cancelled, or gone).
   */
  readPages(request: ReadPagesRequest, signal: AbortSignal): Promise<readonly Buffer[]>;
  /**
   * What is at hand and may come along with the pages of a request: at most `room` blocks, not far past them
   * (SHIM_ALONG_WITHIN in native/shim-protocol.h; the shim takes no others), each as `readPages` would give it for the same request. Asked when those are there; waits for nothing.
   */
  pagesAlong(request: ReadPagesRequest): PagesAlong | undefined;
  /** PostgreSQL is going to read these blocks. */
  expectPages(request: ReadPagesRequest): void;
  /** No transaction that runs in PostgreSQL has written redo that ends at or below this LSN. Never goes back. */
  runningLsn(): bigint;
}

export interface ShimServerOptions {
  /** Owner of the socket file, when the agent runs as root and PostgreSQL does not. */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
  /** Told of every failure that a backend was answered with, and of broken connections. */
  readonly onError: (error: Error, request: ShimRequest | undefined) => void;
}

/**
 * A backend of another PostgreSQL start (or another program) used the socket. It is disconnected and never answered.
 */
export class StaleShimError extends Error {
  constructor() {
    super('a PostgreSQL process of an earlier start used the agent socket; it was disconnected');
    this.name = 'StaleShimError';
  }
}

/**
 * Answers the shims of one PostgreSQL start. Make a new server for each start: its token tells the processes of this
 * start from leftovers of another, which must never hear "durable".
 */
export class ShimServer {
  readonly socketPath: string;
  /** Secret of this start, handed to PostgreSQL in its environment. */
  readonly token: bigint = randomBytes(8).readBigUInt64LE();
  readonly counters = { flushes: 0, flushesRefused: 0, readRequests: 0, pagesRead: 0, failures: 0 };
  readonly #handlers: ShimHandlers;
  readonly #options: ShimServerOptions;
  readonly #server: Server;
  readonly #connections = new Set<Socket>();
  /** Connections and what came on them. */
  #arrivals = 0;
  #refusing = false;

  constructor(socketPath: string, handlers: ShimHandlers, options: ShimServerOptions) {
    this.socketPath = socketPath;
    this.#handlers = handlers;
    this.#options = options;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** Open connections: one per PostgreSQL process that has flushed or missed a page. */
  get connectionCount(): number {
    return this.#connections.size;
  }

  async listen(): Promise<void> {
    await rm(this.socketPath, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ path: this.socketPath, backlog: 4096 }, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) => this.#options.onError(error, undefined));
        resolve();
      });
    });
    await chmod(this.socketPath, 0o600);
    const { owner } = this.#options;
    if (owner !== undefined) await chown(this.socketPath, owner.uid, owner.gid);
  }

  /**
   * The volume takes nothing more: resolves once whoever had asked for a flush has its answer on the way, also where this process had not read the
   * question yet. Who asks later is answered as well, until `close`: a backend that finds nobody would have to say that, and not what has happened.
   * Reads are not answered any more. Gives the number of flushes that were answered with neither 'durable' nor 'sent'.
   */
  async refuse(): Promise<number> {
    this.#refusing = true;
    let quiet = 0;
    for (let turn = 0; turn < TURNS_MAX && quiet < QUIET_TURNS; turn++) {
      const before = this.#arrivals;
      // What the handlers have resolved by now is written in this turn of the event loop.
      await new Promise<void>((resolve) => setImmediate(resolve));
      quiet = this.#arrivals === before ? quiet + 1 : 0;
    }
    return this.counters.flushesRefused;
  }

  /** Ends every connection once what was answered is on its way: a flush that still waits fails in PostgreSQL (PANIC), it never succeeds. */
  async close(): Promise<void> {
    await this.refuse();
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    for (const socket of this.#connections) socket.destroySoon();
    const late = setTimeout(() => {
      for (const socket of this.#connections) socket.destroy();
    }, CLOSE_WITHIN_MS);
    await closed;
    clearTimeout(late);
    await rm(this.socketPath, { force: true });
  }

  #accept(socket: Socket): void {
    const parser = new RequestParser();
    const gone = new AbortController();
    this.#arrivals++;
    this.#connections.add(socket);
    socket.on('close', () => {
      this.#connections.delete(socket);
      gone.abort();
    });
    // A backend that ends resets its connection; that is its ordinary goodbye.
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      this.#arrivals++;
      try {
        for (const request of parser.push(chunk)) {
          if (request.token !== this.token) throw new StaleShimError();
          if (request.operation === 'expectPages') this.#handlers.expectPages(request);
          else if (request.operation === 'wrote') this.#handlers.wrote(request);
          else void this.#answer(socket, request, gone.signal);
        }
      } catch (error) {
        this.#fail(error, undefined);
        socket.destroy();
      }
    });
  }

  async #answer(socket: Socket, request: Exclude<ShimRequest, { operation: 'wrote' }>, gone: AbortSignal): Promise<void> {
    const { id } = request;
    try {
      if (request.operation === 'flush') {
        this.counters.flushes++;
        const outcome = await this.#handlers.flush(request);
        const flushedLsn = outcome.kind === 'durable' ? outcome.durableLsn : outcome.kind === 'sent' ? outcome.sentLsn : undefined;
        if (flushedLsn === undefined) this.counters.flushesRefused++;
        const runningLsn = this.#handlers.runningLsn();
        if (!socket.destroyed)
          socket.write(encodeResponse({ id, status: STATUS[outcome.kind], payloadBytes: 0, flushedLsn: flushedLsn ?? 0n, runningLsn }));
        return;
      }
      this.counters.readRequests++;
      this.counters.pagesRead += request.count;
      const pages = await this.#handlers.readPages(request, gone);
      const payloadBytes = pages.reduce((sum, each) => sum + each.length, 0);
      if (payloadBytes !== request.count * PAGE_BYTES) {
        throw new RangeError(`readPages gave ${payloadBytes} bytes for ${request.count} pages of ${PAGE_BYTES}`);
      }
      if (socket.destroyed) return;
      const along = request.room === 0 ? undefined : this.#handlers.pagesAlong(request);
      const head = {
        id,
        status: STATUS.durable,
        payloadBytes: payloadBytes + (along?.count ?? 0) * PAGE_BYTES,
        flushedLsn: 0n,
        runningLsn: this.#handlers.runningLsn(),
      };
      socket.cork();
      socket.write(encodeResponse(along === undefined ? head : { ...head, along }));
      for (const each of pages) socket.write(each);
      for (const each of along?.pages ?? []) socket.write(each);
      socket.uncork();
    } catch (error) {
      // Nobody to answer, or a PostgreSQL that is ended: it must not take the end for a page that cannot be read.
      if (gone.aborted || (this.#refusing && request.operation === 'readPages')) return;
      this.#fail(error, request);
      if (socket.destroyed) return;
      socket.write(encodeResponse({ id, status: STATUS.failed, payloadBytes: 0, flushedLsn: 0n, runningLsn: 0n }));
    }
  }

  #fail(error: unknown, request: ShimRequest | undefined): void {
    this.counters.failures++;
    this.#options.onError(error instanceof Error ? error : new Error(String(error)), request);
  }
}
