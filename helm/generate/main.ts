// Writes the dashboards, and what deploy/ has of the chart. A test compares them: helm/generate/manifests.test.ts.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { BUNDLE, bundleFiles } from './bundle.ts';
import { writeBundle } from './write-bundle.ts';
import { dashboardFiles, deployManifests } from './manifests.ts';

// First: the chart takes them in.
for (const { file, content } of dashboardFiles()) {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, content);
}
for (const { file, content } of deployManifests()) writeFileSync(file, content);
writeBundle(BUNDLE, bundleFiles());
