import { spawnSync } from 'node:child_process';
import { closeSync, fsyncSync, ftruncateSync, openSync, rmSync, statfsSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { LiveSystem } from './live-system.ts';
import { again, type RealFault } from './real-fault.ts';

const daemons = (system: LiveSystem, ...numbers: number[]): number[] =>
  numbers.flatMap((number) => system.programs(`demo-storage-${number}`).map(({ pid }) => pid));

/** A small disk for a daemon, in the place of the one it has: what it lost it copies from a peer. */
const SMALL_DISK = 'demo-storage-4';
const DISK_MIB = 1500;
const FILLED = 'filled';

async function smallDisk(system: LiveSystem): Promise<string> {
  const [daemon] = system.programs(SMALL_DISK);
  const directory = daemon?.environment.get('AURORA_DATA_DIR') ?? '';
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MIB}m`, 'tmpfs', directory], { encoding: 'utf8' });
  if (mounted.status !== 0) throw new Error(`a small disk takes root: mount: ${mounted.stderr}`);
  system.mounted.push(directory);
  if (daemon !== undefined) process.kill(daemon.pid, 'SIGKILL');
  await system.quickstart.until('the segment is back on the small disk', () => {
    const status = system.quickstart.run(
      'kubectl',
      'get',
      'pod',
      SMALL_DISK,
      '-o',
      'jsonpath={.status.conditions[?(@.type=="Ready")].status}',
    );
    return status.output.trim() === 'True' && system.programs(SMALL_DISK)[0]?.pid !== daemon?.pid;
  });
  return directory;
}

/** Takes so much of what is free, with zeros. */
function fill(directory: string, leaveBytes: number): void {
  const { bavail, bsize } = statfsSync(directory);
  const file = openSync(path.join(directory, FILLED), 'a');
  const zeros = Buffer.alloc(1024 * 1024);
  for (let left = bavail * bsize - leaveBytes; left > zeros.length; left -= zeros.length) writeSync(file, zeros);
  closeSync(file);
}

export const STORAGE_FAULTS: readonly RealFault[] = [
  {
    what: 'stored pages of a daemon are overwritten',
    alerts: ['AuroraStoredDataDamaged'],
    make(system) {
      const directory = system.programs('demo-storage-2')[0]?.environment.get('AURORA_DATA_DIR') ?? '';
      const found = spawnSync('find', [directory, '-name', 'pages*', '-type', 'f', '-size', '+1M'], { encoding: 'utf8' })
        .stdout.trim()
        .split('\n');
      const file = openSync(found[0] ?? '', 'r+');
      for (let at = 4096; at < 20 * 1024 * 1024; at += 64 * 1024) writeSync(file, 'damage', at);
      fsyncSync(file);
      closeSync(file);
      // It is mended by the daemon itself, from a peer.
      return Promise.resolve(() => undefined);
    },
  },
  {
    what: 'three daemons stand still for a second, again and again',
    alerts: ['AuroraCommitsSlow'],
    make(system) {
      const stop = again(600, async () => {
        const goOn = system.stopped(daemons(system, 0, 1, 2));
        await delay(900);
        goOn();
      });
      return Promise.resolve(stop);
    },
  },
  {
    what: 'three daemons stand still',
    alerts: ['AuroraQuorumLost'],
    make: (system) => Promise.resolve(system.stopped(daemons(system, 0, 1, 2))),
  },
  {
    what: 'the index of a daemon’s pages is damaged, and its peers stand still',
    alerts: ['AuroraSegmentDamaged'],
    make(system) {
      const [daemon] = system.programs('demo-storage-5');
      const directory = daemon?.environment.get('AURORA_DATA_DIR') ?? '';
      const found = spawnSync('find', [directory, '-name', 'CURRENT', '-type', 'f'], { encoding: 'utf8' }).stdout.trim().split('\n');
      // Whoever could give it a copy.
      const goOn = system.stopped(daemons(system, 0, 1, 2, 3, 4));
      for (const file of found) writeFileSync(file, 'nonsense');
      // It looks into its files when it begins.
      if (daemon !== undefined) process.kill(daemon.pid, 'SIGKILL');
      return Promise.resolve(goOn);
    },
  },
];

/** Last: from then on one of the disks is a small one. */
export const DISK_FAULT: RealFault = {
  what: 'a daemon’s disk fills up, and is full',
  alerts: ['AuroraDiskFullSoon', 'AuroraDiskNearlyFull', 'AuroraDiskTakesNoRedo'],
  async make(system) {
    const directory = await smallDisk(system);
    for (let free = 1000; free > 0; free -= 100) {
      fill(directory, free * 1024 * 1024);
      await delay(3000);
    }
    fill(directory, 0);
    return () => {
      const file = openSync(path.join(directory, FILLED), 'r+');
      ftruncateSync(file, 0);
      closeSync(file);
      rmSync(path.join(directory, FILLED));
    };
  },
};
