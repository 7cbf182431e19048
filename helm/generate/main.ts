// Writes what deploy/ has of the chart. A test compares them: helm/generate/manifests.test.ts.
import { writeFileSync } from 'node:fs';
import { deployManifests } from './manifests.ts';

for (const { file, content } of deployManifests()) writeFileSync(file, content);
