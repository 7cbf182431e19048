import { isIPv4, isIPv6 } from 'node:net';
import type { WriterSign } from '@kube-aurora/rpc';
import { askWriter, type AskWriterOptions } from '../election/ask-writer.ts';
import type { WriterAddress } from '../postgres/lease-file.ts';

/** Where a volume's computes take connections, by the name of each: `*` in the host stands for it. */
export interface InstanceAddresses {
  readonly host: string;
  readonly port: number;
}

export interface WriterFinderOptions extends AskWriterOptions {
  readonly addresses: InstanceAddresses;
  /** An IP address of a host; rejects when it has none. */
  readonly resolve: (host: string) => Promise<string>;
  /** Told whenever it is another one. */
  readonly onFound: (address: WriterAddress) => void;
}

/** While storage names nobody, or the name has no address yet. */
const ASK_AGAIN_MS = 250;
/** A name that was just given to another pod may still lead to the one before. */
const RESOLVE_AGAIN_MS = 5000;

/**
 * Beside a reader: knows where the writer is, for clients that want it and were led here (native/writer-port.c). Storage
 * names the writer, the name of its instance has an address; neither the operator nor the API server is asked.
 *
 * Invariant: nothing is asked of storage while no stream has told of an epoch that is above the known writer's.
 */
export class WriterFinder {
  readonly #options: WriterFinderOptions;
  readonly #over = new AbortController();
  /** The highest that a stream has told of. */
  #epoch = 0n;
  #found: { readonly epoch: bigint; readonly host: string } | undefined;
  #address = '';
  #isLooking = false;
  #wake = new AbortController();

  constructor(options: WriterFinderOptions) {
    this.#options = options;
  }

  /** What a message of a segment's stream says of the writer. */
  note({ writerEpoch }: WriterSign): void {
    if (writerEpoch <= this.#epoch) return;
    this.#epoch = writerEpoch;
    this.#wake.abort();
    if (!this.#isLooking) void this.#look();
  }

  stop(): void {
    this.#over.abort();
  }

  async #look(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#over;
    this.#isLooking = true;
    while (!signal.aborted) {
      this.#wake = new AbortController();
      const known = (await this.#asks()) && (await this.#resolves());
      await clock.sleep(known ? RESOLVE_AGAIN_MS : ASK_AGAIN_MS, AbortSignal.any([signal, this.#wake.signal]));
    }
  }

  /** True when the name of the writer is known. */
  async #asks(): Promise<boolean> {
    if (this.#found !== undefined && this.#found.epoch >= this.#epoch) return true;
    const { verdict } = await askWriter(this.#options, this.#over.signal);
    if (verdict.kind !== 'alive' || verdict.epoch < this.#epoch) return false;
    this.#found = { epoch: verdict.epoch, host: this.#options.addresses.host.replace('*', verdict.instance) };
    return true;
  }

  /** True when its address is. */
  async #resolves(): Promise<boolean> {
    const { addresses, resolve, onFound, logger } = this.#options;
    const name = this.#found?.host;
    if (name === undefined) return false;
    let host: string;
    try {
      host = isIPv4(name) || isIPv6(name) ? name : await resolve(name);
    } catch (error) {
      logger.debug({ err: error, name }, "the writer's name has no address");
      return false;
    }
    if (this.#over.signal.aborted || name !== this.#found?.host) return false;
    if (host !== this.#address) onFound({ host, port: addresses.port });
    this.#address = host;
    return true;
  }
}
