import { stringify } from 'yaml';
import { clusterCrd } from './crd.ts';

/** deploy/crd.yaml's content. */
export function crdYaml(): string {
  const header = '# Made from operator/src/api by `node operator/src/api/generate-crd.ts`; a test keeps the two the same.\n';
  return `${header}${stringify(clusterCrd, { lineWidth: 0, aliasDuplicateObjects: false })}`;
}
