/** Which ports the processes below one have open, as the kernel has it (proc(5), /proc/net/tcp): none is forgotten. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { isGone, tree } from '../../bench/process-usage.ts';

export interface ListeningPort {
  readonly pid: number;
  readonly host: string;
  readonly port: number;
}

/** State TCP_LISTEN (linux/tcp_states.h), as /proc/net/tcp prints it. */
const LISTEN = '0A';

/** `0100007F:1F90`: an address in the machine's byte order, x64's, and a port. */
function address(text: string): { host: string; port: number } {
  const [host = '', port = ''] = text.split(':');
  return { host: Buffer.from(host, 'hex').toReversed().join('.'), port: Number.parseInt(port, 16) };
}

/** Inodes of sockets that listen, of IPv4. */
function listeners(): Map<string, { host: string; port: number }> {
  const lines = readFileSync('/proc/net/tcp', 'utf8').trim().split('\n').slice(1);
  const fields = lines.map((line) => line.trim().split(/\s+/));
  return new Map(fields.filter((of) => of[3] === LISTEN).map((of) => [of[9] ?? '', address(of[1] ?? '')]));
}

/** Names of what a process has open; empty when it is gone. */
export function openFiles(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
      } catch (error) {
        if (isGone(error)) return [];
        throw error;
      }
    });
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

/** Each once, by the first process that has it: PostgreSQL's backends share their postmaster's. */
export function listeningPorts(root: number): ListeningPort[] {
  const ofInode = listeners();
  const found = new Map<string, ListeningPort>();
  for (const pid of tree(root))
    for (const file of openFiles(pid)) {
      const at = ofInode.get(/^socket:\[(\d+)\]$/.exec(file)?.[1] ?? '');
      const key = `${at?.host}:${at?.port}`;
      if (at !== undefined && !found.has(key)) found.set(key, { pid, ...at });
    }
  return [...found.values()];
}
