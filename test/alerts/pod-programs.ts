import { readdirSync, readFileSync } from 'node:fs';

export interface PodProgram {
  readonly pid: number;
  readonly environment: ReadonlyMap<string, string>;
}

/** Processes of a pod's program, of the system whose files are there: by what its environment calls it. */
export function programsOf(home: string, pod: string): PodProgram[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const environment = environmentOf(Number(name));
      const isMeant = environment?.get('AURORA_INSTANCE') === pod || environment?.get('AURORA_DAEMON_ID') === pod;
      const isOurs = environment?.get('AURORA_DATA_DIR')?.startsWith(home) === true;
      return environment !== undefined && isMeant && isOurs ? [{ pid: Number(name), environment }] : [];
    });
}

/** Undefined: it is gone, or nobody's whom we may look at. */
export function environmentOf(pid: number): ReadonlyMap<string, string> | undefined {
  try {
    const words = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
    return new Map(words.map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]));
  } catch {
    // It has ended since it was found.
    return undefined;
  }
}
