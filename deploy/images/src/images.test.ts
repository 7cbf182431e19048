import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { writeDirectory } from './directory.ts';
import { dockerfile, dockerfilePath, outdatedDockerfiles } from './dockerfile.ts';
import { contentOf, fileTree, type Entry } from './file-tree.ts';
import { startOptions } from './image-config.ts';
import { IMAGES, RUN_AS, type ImageSpec } from './image-table.ts';
import { imageContents, type ImageContent } from './layers.ts';
import { images } from './main.ts';
import { BlobStore, layoutEntries, writeArchive, writeImage } from './oci-layout.ts';
import { ownVersion, REPOSITORY } from './packages.ts';
import { program } from './program.ts';

const RELEASE = { version: ownVersion(), revision: 'unknown', epoch: 0 };
const CHROOT = '/usr/sbin/chroot';
let directory: string;
let contents: readonly ImageContent[];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'kube-aurora-images-'));
  // Another user is to pass through it.
  chmodSync(directory, 0o755);
  contents = await imageContents(Object.values(IMAGES), RELEASE);
});

afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(directory, { recursive: true, force: true });
});

function contentOfImage(name: string): ImageContent {
  const found = contents.find(({ image }) => image.name === name);
  if (found === undefined) throw new TypeError(`no image ${name}`);
  return found;
}

/** Upper layers hide lower ones. */
function merged({ layers }: ImageContent): Entry[] {
  return fileTree([...new Map(layers.flatMap(({ entries }) => entries).map((entry) => [entry.path, entry])).values()]);
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

/** One line an entry: path, mode, what it holds. */
function listing(entries: readonly Entry[]): string[] {
  return entries.map((entry) => {
    if (entry.kind === 'symlink') return `${entry.path} -> ${entry.target}`;
    const mode = entry.mode.toString(8);
    return entry.kind === 'directory' ? `${entry.path}/ ${mode}` : `${entry.path} ${mode} ${sha256(contentOf(entry))}`;
  });
}

function listingOfDirectory(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .toSorted((a, b) => (a < b ? -1 : 1))
    .map((path) => {
      const found = lstatSync(join(root, path));
      if (found.isSymbolicLink()) return `${path} -> ${readlinkSync(join(root, path))}`;
      const mode = (found.mode & 0o7777).toString(8);
      return found.isDirectory() ? `${path}/ ${mode}` : `${path} ${mode} ${sha256(readFileSync(join(root, path)))}`;
    });
}

test('the Dockerfiles are those of the table', () => {
  expect(outdatedDockerfiles(), 'npm run images -- dockerfiles').toEqual([]);
});

/** Does what a Dockerfile says, with directories for its stages: RUN of the images' script, and COPY from the build. */
async function followDockerfile(image: ImageSpec, root: string): Promise<void> {
  const lines = readFileSync(dockerfilePath(image.name), 'utf8').split('\n');
  const built = join(directory, 'build');
  mkdirSync(root);
  for (const line of lines) {
    const run = /^RUN npm run images -- (.*)$/.exec(line)?.[1];
    const layer = /^COPY --from=build \/image\/(\S+) \/$/.exec(line)?.[1];
    if (run !== undefined)
      await images(run.split(' ').map((word) => (word === '/image' ? built : word.replace('"${REVISION}"', 'unknown'))));
    else if (layer !== undefined) expect(spawnSync('cp', ['-a', `${join(built, layer)}/.`, root]).status).toBe(0);
    else if (/^(RUN|COPY|ADD) /.test(line)) expect(line).toBe('COPY . .');
  }
  rmSync(built, { recursive: true });
}

test('with and without a container engine an image has the same files, and starts the same way', async () => {
  vi.stubEnv('SOURCE_DATE_EPOCH', '0');
  const content = contentOfImage('compute-node');
  const root = join(directory, 'by-dockerfile');
  await followDockerfile(content.image, root);
  expect(listingOfDirectory(root)).toEqual(listing(merged(content)));
  rmSync(root, { recursive: true });
  const { user, entrypoint } = startOptions(content.image);
  expect(dockerfile(content.image)).toContain(`USER ${user}\nENTRYPOINT ${JSON.stringify(entrypoint)}\n`);
});

test('built again, and elsewhere, an image is the same byte for byte', async () => {
  const archive = async (at: string, entries: readonly Entry[]): Promise<Buffer> => {
    const store = new BlobStore(join(directory, at));
    const layer = { name: 'program', entries: fileTree(entries) } as const;
    const written = await writeImage(store, { image: IMAGES.operator, sbom: '', layers: [layer] }, RELEASE);
    const file = join(directory, `${at}.tar`);
    await writeArchive(file, layoutEntries(store, written, { repository: 'kube-aurora', tags: ['1', 'latest'] }));
    return readFileSync(file);
  };
  const { entries } = await program(IMAGES.operator);
  const own = new Set(entries.map(({ path }) => path));
  const before = merged(contentOfImage('operator')).filter(({ path }) => own.has(path));
  const [one, other] = [await archive('one', before), await archive('other', entries)];
  expect(sha256(one)).toBe(sha256(other));
  // What the system's tar makes of it, within and without.
  const list = (file: string): string => spawnSync('tar', ['--list', '--verbose', '--file', file], { encoding: 'utf8' }).stdout;
  expect(list(join(directory, 'one.tar'))).toContain('oci-layout');
  const index: unknown = JSON.parse(spawnSync('tar', ['-xOf', join(directory, 'one.tar'), 'index.json'], { encoding: 'utf8' }).stdout);
  expect(index).toMatchObject({ manifests: [{ annotations: { 'io.containerd.image.name': 'docker.io/kube-aurora/operator:1' } }, {}] });
});

test('nothing of the machine that builds is in a program or in the shim', () => {
  for (const content of contents) {
    for (const entry of merged(content)) {
      if (
        entry.kind !== 'file' ||
        !/^app\/lib\/([a-z-]+\/main\.mjs|libaurora_shim\.so|(append_lane|page_redo|wal_cut)\.node)$/.test(entry.path)
      )
        continue;
      expect(contentOf(entry).includes(REPOSITORY), entry.path).toBe(false);
    }
  }
});

/** Runs a program with `root` as its root, as the images' user; as nobody in particular where we are not root ourselves. */
function inRoot(root: string, command: readonly string[], env: NodeJS.ProcessEnv = {}): { status: number | null; output: string } {
  const jail = process.getuid?.() === 0 ? [`--userspec=${RUN_AS}:${RUN_AS}`] : [];
  const args = [...jail, root, ...command];
  const options = { encoding: 'utf8', env, timeout: 50_000 } as const;
  const ran =
    process.getuid?.() === 0
      ? spawnSync(CHROOT, args, options)
      : spawnSync('/usr/bin/unshare', ['--user', '--map-root-user', CHROOT, ...args], options);
  return { status: ran.status, output: `${ran.stdout}${ran.stderr}${ran.error?.message ?? ''}` };
}

test.each(Object.values(IMAGES))('$name starts with nothing but its image, and says what is wrong with its settings', (image) => {
  const root = join(directory, image.name);
  writeDirectory(root, merged(contentOfImage(image.name)));
  const [entrypoint = ''] = startOptions(image).entrypoint;
  const help = inRoot(root, [entrypoint, '--help'], image.env);
  expect(help).toMatchObject({ status: 0 });
  expect(help.output).toContain('LISTEN');
  const refused = inRoot(root, [entrypoint], {
    ...image.env,
    METRICS_LISTEN: 'nowhere',
    AURORA_METRICS_LISTEN: 'nowhere',
    CONSOLE_LISTEN: 'nowhere',
  });
  expect(refused.status).not.toBe(0);
  expect(refused.output).toMatch(/(METRICS|CONSOLE)_LISTEN.*nowhere/s);
  // Its libraries it finds by /proc, which this root does not have.
  const env = { LD_LIBRARY_PATH: '/app/postgresql/lib' };
  if (image.postgres) expect(inRoot(root, ['/app/postgresql/bin/initdb', '--version'], env).output).toContain('(PostgreSQL) 18');
  else expect(readdirSync(root)).not.toContain('bin');
  rmSync(root, { recursive: true });
});

test('a bill of materials names what is in the image, with the lockfile’s digests and the system’s versions', () => {
  const bill = JSON.parse(contentOfImage('compute-node').sbom);
  expect(bill).toMatchObject({ bomFormat: 'CycloneDX', specVersion: '1.6', metadata: { component: { version: ownVersion() } } });
  const components = new Map<string, unknown>(bill.components.map((one: { name: string }) => [one.name, one]));
  const lock = readFileSync(join(REPOSITORY, 'pnpm-lock.yaml'), 'utf8');
  const pg = /^ {2}pg@8\.[0-9.]+:\n +resolution: \{integrity: sha512-([^}]+)\}/m.exec(lock)?.[1] ?? '';
  expect(components.get('pg')).toMatchObject({ hashes: [{ alg: 'SHA-512', content: Buffer.from(pg, 'base64').toString('hex') }] });
  expect(components.get('postgresql')).toMatchObject({ purl: expect.stringMatching(/^pkg:generic\/postgresql@18\.\d+$/) });
  expect(components.get('node')).toMatchObject({ version: process.versions.node });
  expect(components.has('vitest')).toBe(false);
  const files = merged(contentOfImage('compute-node')).map(({ path }) => path);
  expect(files).toContain('usr/share/sbom/compute-node.cdx.json');
  expect(files.some((path) => path.endsWith('/libc.so.6'))).toBe(true);
});
