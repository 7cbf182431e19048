import { createRequire } from 'node:module';

/** The addon (native/), as TypeScript sees it: what it does stands in native/connection.h and native/lane.h. */

declare const connection: unique symbol;
declare const context: unique symbol;
export type ConnectionHandle = { readonly [connection]: never };
export type ContextHandle = { readonly [context]: never };

/** Bits of `flags`, as in native/connection.h. */
export const NEWS = { SECURED: 1, WRITABLE: 2, ENDED: 4, FAILED: 8, STOPPED: 16 } as const;

export interface News {
  readonly flags: number;
  /** errno; 0: none. */
  readonly error: number;
  /** OpenSSL's name for what went wrong; empty: nothing. */
  readonly problem: string;
  readonly passed?: Buffer;
  /** What was taken: so many bytes in the room that was given for it, and then what came after them. */
  readonly toldBytes: number;
  readonly taken?: Buffer;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export interface Addon {
  secureContext(certificate: string, key: string, authorities: readonly string[], ciphers: string): ContextHandle;
  start(descriptor: number, context: ContextHandle | undefined, first: Buffer, onNews: () => void): ConnectionHandle;
  send(of: ConnectionHandle, pieces: readonly Buffer[]): number;
  end(of: ConnectionHandle): void;
  close(of: ConnectionHandle): void;
  free(of: ConnectionHandle): void;
  lend(
    of: ConnectionHandle,
    stream: number,
    descriptor: number,
    offset: number,
    filled: number,
    capacity: number,
    epoch: bigint,
    group: number,
    endLsn: bigint,
    endEpoch: bigint,
    isFollowed: boolean,
  ): boolean;
  hold(of: ConnectionHandle, stream: number, isToBe: boolean): boolean;
  reclaim(of: ConnectionHandle, stream: number): boolean;
  collect(of: ConnectionHandle, room: Buffer): News;
  peer(of: ConnectionHandle): { readonly certificate?: Buffer; readonly isVerified: boolean };
  /** Offsets and constants that native/layout.h has, by name. */
  readonly layouts: Readonly<Record<string, number>>;
}

/** Loads the addon. Throws where it is none, or for another Node. */
export function loadAddon(path: string): Addon {
  const loaded: unknown = createRequire(import.meta.url)(path);
  if (typeof loaded !== 'object' || loaded === null || !('collect' in loaded)) throw new TypeError(`${path} is no addon of append lanes`);
  return loaded as Addon;
}
