import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { writeDirectory } from './directory.ts';
import { dockerfile, dockerfilePath } from './dockerfile.ts';
import { fileTree } from './file-tree.ts';
import { IMAGE_NAMES, IMAGES, type ImageName } from './image-table.ts';
import { imageContents } from './layers.ts';
import { BlobStore, layoutEntries, writeArchive, writeImage } from './oci-layout.ts';
import { ownVersion, REPOSITORY } from './packages.ts';
import type { Release } from './sbom.ts';

const HELP = `npm run images -- [COMMAND] [OPTIONS]

Commands:
  build        (the default) OCI layouts, tars of them, and bills of materials, without a container engine
  root         files of one image, a directory for each layer: what its Dockerfile copies
  dockerfiles  writes the Dockerfiles anew, from deploy/images/src/image-table.ts

Options:
  --image NAME         ${IMAGE_NAMES.join(', ')}; may be given again; all when absent
  --output DIR         default dist/images
  --repository PREFIX  images are PREFIX/NAME; default kube-aurora, which is docker.io/kube-aurora
  --tag TAG            besides the version and latest; may be given again
  --revision COMMIT    default: git's

SOURCE_DATE_EPOCH, seconds since 1970, is the time of the images; without it, the commit's.`;

class UsageError extends Error {}

const isImageName = (name: string): name is ImageName => IMAGE_NAMES.some((known) => known === name);

function imageNames(names: readonly string[]): ImageName[] {
  const unknown = names.find((name) => !isImageName(name));
  if (unknown !== undefined) throw new UsageError(`--image: there is no '${unknown}'; one of ${IMAGE_NAMES.join(', ')}`);
  return names.length === 0 ? [...IMAGE_NAMES] : names.filter(isImageName);
}

function git(args: readonly string[]): string | undefined {
  const { status, stdout } = spawnSync('git', args, { cwd: REPOSITORY, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return status === 0 ? stdout.trim() : undefined;
}

function release(revision: string | undefined): Release {
  const given = process.env['SOURCE_DATE_EPOCH'];
  const epoch = Number(given ?? git(['log', '-1', '--format=%ct']) ?? '0');
  if (!Number.isSafeInteger(epoch) || epoch < 0) throw new UsageError(`SOURCE_DATE_EPOCH must be seconds since 1970, not '${given ?? ''}'`);
  return { version: ownVersion(), revision: revision ?? git(['rev-parse', 'HEAD']) ?? 'unknown', epoch };
}

const REPOSITORY_NAME = /^[a-z0-9]+([._:/-][a-z0-9]+)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Runs one command. Throws UsageError for what the caller should have said otherwise. */
export async function images(argv: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      help: { type: 'boolean', default: false },
      image: { type: 'string', multiple: true, default: [] },
      output: { type: 'string', default: join(REPOSITORY, 'dist/images') },
      repository: { type: 'string', default: 'kube-aurora' },
      tag: { type: 'string', multiple: true, default: [] },
      revision: { type: 'string' },
    },
  });
  const [command = 'build', ...rest] = positionals;
  if (values.help) return say(HELP);
  if (rest.length > 0) throw new UsageError(`'${rest.join(' ')}' is too much after '${command}'`);
  const names = imageNames(values.image);
  const output = resolve(values.output);
  if (command === 'dockerfiles') return writeDockerfiles();
  if (command === 'root') return await writeRoot(names, output, release(values.revision));
  if (command !== 'build') throw new UsageError(`there is no command '${command}'; see --help`);
  if (!REPOSITORY_NAME.test(values.repository)) throw new UsageError(`--repository: '${values.repository}' is no name of a repository`);
  const wrong = values.tag.find((tag) => !TAG.test(tag));
  if (wrong !== undefined) throw new UsageError(`--tag: '${wrong}' is no tag`);
  const tags = [...new Set([ownVersion(), 'latest', ...values.tag])];
  await build(names, output, release(values.revision), { repository: values.repository, tags });
}

function writeDockerfiles(): void {
  for (const image of Object.values(IMAGES)) {
    mkdirSync(dirname(dockerfilePath(image.name)), { recursive: true });
    writeFileSync(dockerfilePath(image.name), dockerfile(image));
  }
}

async function writeRoot(names: readonly ImageName[], output: string, of: Release): Promise<void> {
  const [content, ...more] = await imageContents(
    names.map((name) => IMAGES[name]),
    of,
  );
  if (content === undefined || more.length > 0) throw new UsageError('root is of one image: name it with --image');
  for (const layer of content.layers) writeDirectory(join(output, layer.name), layer.entries);
}

async function build(
  names: readonly ImageName[],
  output: string,
  of: Release,
  naming: { readonly repository: string; readonly tags: readonly string[] },
): Promise<void> {
  mkdirSync(output, { recursive: true });
  const blobs = join(output, 'unfinished-blobs');
  rmSync(blobs, { recursive: true, force: true });
  const store = new BlobStore(blobs);
  const contents = await imageContents(
    names.map((name) => IMAGES[name]),
    of,
  );
  for (const content of contents) {
    const { name } = content.image;
    const written = await writeImage(store, content, of);
    const entries = layoutEntries(store, written, naming);
    writeDirectory(join(output, name), fileTree(entries));
    await writeArchive(join(output, `${name}.tar`), entries);
    writeFileSync(join(output, `${name}.cdx.json`), content.sbom);
    const bytes = written.layers.reduce((sum, { size }) => sum + size, 0);
    say(`${naming.repository}/${name}:${of.version}  ${(bytes / 1e6).toFixed(1)} MB  ${written.manifest.digest}`);
  }
  rmSync(blobs, { recursive: true, force: true });
  say(`in ${output}`);
}

if (import.meta.main) {
  try {
    await images(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`images: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}
