import { stringify } from 'yaml';
import { clusterCrd } from './crd.ts';

/** Content of deploy/crd.yaml, which the chart carries as well. */
export function crdYaml(): string {
  const header = '# Made from operator/src/api by `npm run deploy:generate`; a test keeps the two the same.\n';
  return `${header}${stringify(clusterCrd, { lineWidth: 0, aliasDuplicateObjects: false })}`;
}
