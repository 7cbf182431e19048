/**
 * `npm run bundle -- --registry registry.example.com --repository team/kube-aurora`: the bundle of a release, in dist/bundle, whose images are
 * named by the digests that `npm run images` gave them. What stands in deploy/bundle is the same with tags.
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { bundleFiles, type BundleImages } from './bundle.ts';
import { writeBundle } from './write-bundle.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
/** By the chart's names of their digests. */
const IMAGES = { operator: 'operator', storageDaemon: 'storage-daemon', computeNode: 'compute-node' } as const;

const { values } = parseArgs({
  options: {
    registry: { type: 'string' },
    repository: { type: 'string' },
    images: { type: 'string', default: path.join(ROOT, 'dist/images') },
    out: { type: 'string', default: path.join(ROOT, 'dist/bundle') },
  },
});

/** Of an OCI layout's only image: what it has once it is pushed as it is. */
function digestOf(layout: string): string {
  const file = path.join(values.images, layout, 'index.json');
  if (!existsSync(file)) throw new Error(`there is no ${file}: run npm run images before, or name their folder by --images`);
  const { manifests } = JSON.parse(readFileSync(file, 'utf8')) as { readonly manifests: readonly { readonly digest: string }[] };
  const [only, ...others] = manifests;
  if (only === undefined || others.length > 0) throw new Error(`${file} has ${manifests.length} images, and not one`);
  return only.digest;
}

const images: BundleImages = {
  ...(values.registry === undefined ? {} : { registry: values.registry }),
  ...(values.repository === undefined ? {} : { repository: values.repository }),
  digests: Object.fromEntries(Object.entries(IMAGES).map(([name, layout]) => [name, digestOf(layout)])),
};
writeBundle(values.out, bundleFiles(images));
process.stdout.write(`${values.out}: operator-sdk bundle validate ${values.out} --select-optional suite=operatorframework\n`);
