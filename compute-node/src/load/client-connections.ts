import { createReadStream } from 'node:fs';
import { isIPv4 } from 'node:net';

/** State of a connection that is open at both ends (TCP_ESTABLISHED). */
const ESTABLISHED = '01';

export interface ClientPort {
  readonly host: string;
  readonly port: number;
}

/**
 * Connections that clients have to any of these ports, as the kernel has them: whoever waits for PostgreSQL to answer counts, the agent's own
 * connections, which come over a local socket, do not. PostgreSQL is not asked: a session costs pages, and one that is overloaded has
 * none to give.
 *
 * The tables are as long as connections came and went in the last minute, megabytes of them where clients connect for each statement: they are read in
 * pieces, beside whatever else this process does. Even an empty one costs the kernel milliseconds, for it goes through all of its hash table: that of
 * IPv6 is read where somebody may listen by IPv6 alone.
 */
export async function clientConnections(ports: readonly ClientPort[], proc = '/proc'): Promise<number> {
  const wanted = ports.map(wantedOf);
  let count = 0;
  const tables = ports.every(({ host }) => isIPv4(host)) ? ['tcp'] : ['tcp', 'tcp6'];
  for (const table of tables) for await (const line of linesOf(`${proc}/net/${table}`)) if (isOpenAt(line, wanted)) count++;
  return count;
}

interface WantedAddress {
  /** In the kernel's notation; undefined: any. */
  readonly address: string | undefined;
  readonly port: string;
}

/** Of an address that is none in particular, and of IPv6, the port alone decides. */
function wantedOf({ host, port }: ClientPort): WantedAddress {
  return {
    address: isIPv4(host) && host !== '0.0.0.0' ? kernelAddress(host) : undefined,
    port: port.toString(16).toUpperCase().padStart(4, '0'),
  };
}

/** A table's line in the kernel's notation (proc_net_tcp): `  0: LOCAL:PORT REMOTE:PORT STATE ...` in hexadecimal digits, addresses as words of the machine's byte order. */
function isOpenAt(line: string, wanted: readonly WantedAddress[]): boolean {
  // Most lines are of other ports, or of connections that are over.
  if (!wanted.some(({ port }) => line.includes(`:${port} `))) return false;
  const [, local = '', , state] = line.trim().split(/\s+/);
  const [localAddress = '', localPort] = local.split(':');
  return (
    state === ESTABLISHED &&
    wanted.some(
      ({ address, port }) =>
        localPort === port && (address === undefined || localAddress === address || localAddress.endsWith(`FFFF0000${address}`)),
    )
  );
}

/** Little-endian, as all machines are that PostgreSQL and Node run on today. */
function kernelAddress(host: string): string {
  const bytes = host.split('.').map(Number).reverse();
  return Buffer.from(bytes).toString('hex').toUpperCase();
}

/** A machine without IPv6 has no such table. */
async function* linesOf(path: string): AsyncGenerator<string> {
  let begun = '';
  try {
    for await (const piece of createReadStream(path, { encoding: 'latin1' }) as AsyncIterable<string>) {
      const lines = (begun + piece).split('\n');
      begun = lines.pop() ?? '';
      yield* lines;
    }
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
}
