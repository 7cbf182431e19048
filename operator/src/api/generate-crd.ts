import { writeFileSync } from 'node:fs';
import { crdYaml } from './crd-yaml.ts';

writeFileSync(new URL('../../../deploy/crd.yaml', import.meta.url), crdYaml());
