import { readConfig } from '@kube-aurora/process';
import { DAEMON_CONFIG } from '../config.ts';
import { findSegments } from '../segment/find-segments.ts';
import type { Disk } from '../disk/disk.ts';
import { repairSegment } from './repair-epoch.ts';

export const REPAIR_COMMAND = 'repair-epoch';

export const REPAIR_HELP = `storage-daemon ${REPAIR_COMMAND} [--data-dir DIR] [--write]

Takes back promises of epochs so high that no writer can follow them, which keep a volume from being opened. Redo and pages
are not touched. Says what it would do; does it with --write. Run it where the daemon runs, and restart the daemon right after.`;

/** Repairs every segment of a data directory. Gives the lines to print. */
export async function repairEpochs(disk: Disk, env: NodeJS.ProcessEnv, argv: readonly string[]): Promise<string[]> {
  const write = argv.includes('--write');
  const { dataDir } = readConfig(
    { dataDir: DAEMON_CONFIG.dataDir },
    env,
    argv.filter((argument) => argument !== '--write'),
  );
  const lines: string[] = [];
  for (const { volumeId, pg, directory } of findSegments(disk, dataDir)) {
    const changes = await repairSegment(disk, directory, write);
    if (changes.length === 0) lines.push(`${volumeId}/${pg}: nothing to repair`);
    for (const change of changes) lines.push(`${volumeId}/${pg}: ${change}${write ? '' : ' (with --write)'}`);
  }
  if (write) lines.push('restart the daemon now: it knows the old promise until then');
  return lines;
}
