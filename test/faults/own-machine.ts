/**
 * Network and clocks of its own for a system that is to be broken there: rules that cut pods off from one another, and wall clocks that jump. Needs
 * root, namespaces (`unshare`), `ip`, `iptables` and a C compiler; nothing of it leaves the namespaces.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('own-machine.c', import.meta.url));
const CLOCK_BYTES = 8;
const POSTGRES_PORT = '5432';

/** Why there can be no such machine here; undefined where there can. */
export function whyNoOwnMachine(): string | undefined {
  if (process.getuid?.() !== 0) return 'it needs root';
  const tried = spawnSync(
    'unshare',
    ['--net', '--mount', 'sh', '-c', 'ip link set lo up && iptables -w -A INPUT -s 127.0.0.9 -j DROP && cc --version'],
    {
      encoding: 'utf8',
    },
  );
  if (tried.status === 0) return undefined;
  return `it needs unshare, ip, iptables and cc: ${tried.error?.message ?? tried.stderr.trim()}`;
}

/** Runs this program again, in a machine of its own, with `--machine FOLDER` after its arguments. Gives what it ended with. */
export function runInOwnMachine(program: string, args: readonly string[]): number {
  const folder = mkdtempSync(path.join(tmpdir(), 'own-machine-'));
  try {
    // PostgreSQL runs as another account, and loads the library too.
    chmodSync(folder, 0o711);
    const clocks = openSync(clocksIn(folder), 'w', 0o644);
    ftruncateSync(clocks, CLOCK_BYTES * (Number(readFileSync('/proc/sys/kernel/pid_max', 'utf8')) + 1));
    closeSync(clocks);
    const library = path.join(folder, 'own-machine.so');
    execFileSync('cc', ['-shared', '-fPIC', '-O2', '-Wall', `-DCLOCKS="${clocksIn(folder)}"`, '-o', library, SOURCE, '-ldl'], {
      stdio: 'inherit',
    });
    // The loader reads one file, for all programs; this copy of it is seen in the new mount namespace alone.
    const etc = path.join(folder, 'etc');
    execFileSync('cp', ['-a', '/etc', etc]);
    writeFileSync(path.join(etc, 'ld.so.preload'), `${library}\n`);
    const script = `ip link set lo up && mount --bind '${etc}' /etc && exec "$@"`;
    const { status } = spawnSync(
      'unshare',
      ['--net', '--mount', 'sh', '-c', script, 'sh', process.execPath, program, ...args, '--machine', folder],
      { stdio: 'inherit' },
    );
    return status ?? 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const clocksIn = (folder: string): string => path.join(folder, 'clocks');

/** The machine that a program finds itself in. */
export class OwnMachine {
  readonly #folder: string;

  /** @param folder as `--machine` says */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Nothing reaches a pod any more, and nothing that it sends arrives, but what its PostgreSQL and its clients have to say to each other. Connections are
   * not broken: who is on one hears nothing, as behind a switch that is dead. Gives what ends it.
   */
  cutOff(host: string): () => void {
    const rules = [
      ['-s', host, '-p', 'tcp', '!', '--sport', POSTGRES_PORT, '-j', 'DROP'],
      ['-d', host, '-p', 'tcp', '!', '--dport', POSTGRES_PORT, '-j', 'DROP'],
    ];
    // At the receiver: what a sender's own rule drops it is told of.
    for (const rule of rules) execFileSync('iptables', ['-w', '-I', 'INPUT', ...rule]);
    return () => {
      for (const rule of rules) execFileSync('iptables', ['-w', '-D', 'INPUT', ...rule]);
    };
  }

  /** From now on the wall clocks of these programs are ahead by so much, or behind where it is negative; 0 puts them right. */
  moveClock(pids: readonly number[], aheadMs: number): void {
    const clocks = openSync(clocksIn(this.#folder), 'r+');
    try {
      const bytes = Buffer.alloc(CLOCK_BYTES);
      bytes.writeBigInt64LE(BigInt(aheadMs) * 1_000_000n);
      for (const pid of pids) writeSync(clocks, bytes, 0, CLOCK_BYTES, pid * CLOCK_BYTES);
    } finally {
      closeSync(clocks);
    }
  }
}
