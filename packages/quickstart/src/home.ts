import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const REPOSITORY = fileURLToPath(new URL('../../../', import.meta.url));

/** Everything `npm start` keeps: control plane state, disks of the pretend nodes, logs. */
export const HOME = path.resolve(process.env['KUBE_AURORA_HOME'] ?? path.join(REPOSITORY, '.kube-aurora'));
