import { readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';

/** State of a connection that is open at both ends (TCP_ESTABLISHED). */
const ESTABLISHED = '01';

/**
 * Connections that clients have to a port, as the kernel has them: whoever waits for PostgreSQL to answer counts, the agent's own
 * connections, which come over a local socket, do not. PostgreSQL is not asked: a session costs pages, and one that is overloaded has
 * none to give.
 */
export function clientConnections({ host, port }: { readonly host: string; readonly port: number }, proc = '/proc'): number {
  return ['tcp', 'tcp6'].reduce((sum, table) => sum + countOpen(tableOf(`${proc}/net/${table}`), host, port), 0);
}

/**
 * Open connections of a table in the kernel's notation (proc_net_tcp): after a heading a line each, `  0: LOCAL:PORT REMOTE:PORT STATE
 * ...` in hexadecimal digits, addresses as words of the machine's byte order. Of an address that is none in particular, and of IPv6,
 * the port alone decides.
 */
export function countOpen(table: string, host: string, port: number): number {
  const address = isIPv4(host) && host !== '0.0.0.0' ? kernelAddress(host) : undefined;
  const wantedPort = port.toString(16).toUpperCase().padStart(4, '0');
  return table
    .split('\n')
    .slice(1)
    .filter((line) => {
      const [, local = '', , state] = line.trim().split(/\s+/);
      const [localAddress = '', localPort] = local.split(':');
      const isHere = address === undefined || localAddress === address || localAddress.endsWith(`FFFF0000${address}`);
      return state === ESTABLISHED && localPort === wantedPort && isHere;
    }).length;
}

/** Little-endian, as all machines are that PostgreSQL and Node run on today. */
function kernelAddress(host: string): string {
  const bytes = host.split('.').map(Number).reverse();
  return Buffer.from(bytes).toString('hex').toUpperCase();
}

/** A machine without IPv6 has no such table. */
function tableOf(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
    throw error;
  }
}
