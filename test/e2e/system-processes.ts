import { readdirSync, readFileSync } from 'node:fs';

/** Ids of the processes of a system that `npm start` made with this home, by a part of their command line and a setting they have. */
export function systemProcesses(home: string, program: string, setting = ''): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        if (!command.includes(program)) return false;
        const environ = `\0${readFileSync(`/proc/${pid}/environ`, 'utf8')}`;
        return (command.includes(home) || environ.includes(home)) && (setting === '' || environ.includes(`\0${setting}\0`));
      } catch (error) {
        // It ended while we looked.
        if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) return false;
        throw error;
      }
    });
}
