import type { Socket } from 'node:net';
import type { Clock } from '@kube-aurora/clock';
import { loadAddon, type Addon } from './addon.ts';
import { LaneSocket } from './lane-socket.ts';

/** Certificate, key and authorities as PEM, and the cipher suites of TLS 1.3. */
export interface LaneMaterial {
  readonly certificate: string;
  readonly key: string;
  readonly authorities: readonly string[];
  readonly ciphers: string;
}

/** Makes connections with a thread of their own of accepted ones. */
export class AppendLanes {
  readonly #addon: Addon;
  readonly #clock: Clock;

  private constructor(addon: Addon, clock: Clock) {
    this.#addon = addon;
    this.#clock = clock;
  }

  /** Loads the addon, which is ready made at `library`, or compiled when its sources changed. Throws where there is neither it nor a compiler. */
  static async load(library: string | undefined, clock: Clock): Promise<AppendLanes> {
    return new AppendLanes(loadAddon(library ?? (await compile())), clock);
  }

  /** What `native/layout.h` has of the layouts, by name. */
  get layouts(): Readonly<Record<string, number>> {
    return this.#addon.layouts;
  }

  plain(socket: Socket): LaneSocket {
    return new LaneSocket(socket, { addon: this.#addon, clock: this.#clock, context: undefined });
  }

  /** For connections in TLS that are made with this material. Throws where OpenSSL does not take it. */
  secured({ certificate, key, authorities, ciphers }: LaneMaterial): (socket: Socket) => LaneSocket {
    const context = this.#addon.secureContext(certificate, key, authorities, ciphers);
    return (socket) => new LaneSocket(socket, { addon: this.#addon, clock: this.#clock, context });
  }
}

async function compile(): Promise<string> {
  const build: unknown = await import(new URL('../native/build.mjs', import.meta.url).href);
  if (typeof build !== 'object' || build === null || !('buildAppendLane' in build) || typeof build.buildAppendLane !== 'function')
    throw new TypeError('native/build.mjs does not export buildAppendLane');
  return String(build.buildAppendLane());
}
