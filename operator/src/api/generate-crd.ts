import { writeFileSync } from 'node:fs';
import { crdYaml } from './crd-yaml.ts';

for (const file of ['deploy/crd.yaml', 'helm/kube-aurora/files/crd.yaml'])
  writeFileSync(new URL(`../../../${file}`, import.meta.url), crdYaml());
