import { statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const REPOSITORY = fileURLToPath(new URL('../../../', import.meta.url));

/** May any account pass through this directory and all above it? */
function isOpenToPass(directory: string): boolean {
  for (let at = path.resolve(directory); ; at = path.dirname(at)) {
    if ((statSync(at).mode & 0o001) === 0) return false;
    if (at === path.dirname(at)) return true;
  }
}

/**
 * Everything `npm start` keeps: control plane state, disks of the pretend nodes, logs. Beside the code, unless we are
 * root and the code lies where only root may go: PostgreSQL runs as another account and has to reach its files.
 */
function home(): string {
  const chosen = process.env['KUBE_AURORA_HOME'];
  if (chosen !== undefined && chosen !== '') return path.resolve(chosen);
  const closed = process.getuid?.() === 0 && !isOpenToPass(REPOSITORY);
  return closed ? '/var/lib/kube-aurora' : path.join(REPOSITORY, '.kube-aurora');
}

export const HOME = home();
