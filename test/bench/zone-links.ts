import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface ZoneAddress {
  readonly host: string;
  readonly port: number;
}

/** A way from one zone into another. */
export interface ZoneLink {
  /** Where the near side connects to. */
  readonly listen: ZoneAddress;
  /** Where that leads. */
  readonly to: ZoneAddress;
}

/**
 * Opens the links, each `delayMs` long in each direction: a round trip takes twice that. Gives what closes them, and
 * the process that carries them, so that its CPU can be told apart. Rejects when one of the addresses is taken.
 */
export async function openZoneLinks(links: readonly ZoneLink[], delayMs: number): Promise<{ readonly pid: number; close(): void }> {
  const child = fork(fileURLToPath(new URL('delaying-relay.ts', import.meta.url)), { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  await new Promise<void>((resolve, reject) => {
    child.once('message', () => resolve());
    child.once('exit', (code) => reject(new Error(`the relay between the zones ended with ${code}`)));
    child.send({ links, delayMs });
  });
  return { pid: child.pid ?? 0, close: () => void child.kill() };
}
