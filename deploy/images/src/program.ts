import { createRequire } from 'node:module';
import { join } from 'node:path';
import { bundlePage } from '@kube-aurora/console/build';
import { build as bundle, type Plugin } from 'esbuild';
import { bundleOptions } from './bundle-options.ts';
import { copiesOf, type Entry } from './file-tree.ts';
import { NATIVE_MODULES, PLACE, type ImageSpec } from './image-table.ts';
import { distinct, packageDirectory, packageOf, REPOSITORY, type NpmPackage } from './packages.ts';

/** A program's code in one file, its native modules beside it. */
export interface Program {
  readonly entries: readonly Entry[];
  /** npm packages that code was taken from. */
  readonly packages: readonly NpmPackage[];
}

const NAMESPACE = 'native-module';

/** The file of a package that is its platform's. */
function platformFile({ name, dependent, platformPackage }: (typeof NATIVE_MODULES.platformPackages)[number]): string {
  return createRequire(join(packageDirectory(dependent, name), 'package.json')).resolve(platformPackage);
}

/** All native modules' files, whichever program they are of. */
export function nativeModuleFiles(): string[] {
  const { platformPackages, bindings } = NATIVE_MODULES;
  return [
    ...platformPackages.map(platformFile),
    ...bindings.map(({ name, dependent, file }) => join(packageDirectory(dependent, name), file)),
  ];
}

/**
 * Packages of native modules look for their file among those of many platforms: this is the answer, given now. `found`
 * gets the packages that were asked.
 */
function nativeModules(found: Set<NpmPackage>): Plugin {
  return {
    name: 'native-modules',
    setup: (build) => {
      for (const asked of NATIVE_MODULES.platformPackages) {
        build.onResolve({ filter: new RegExp(`^${asked.name}$`) }, () => {
          found.add(packageOf(join(packageDirectory(asked.dependent, asked.name), 'package.json')));
          // The path shows in the bundle: nothing of this machine may be in it.
          return { path: asked.name, namespace: NAMESPACE, pluginData: platformFile(asked) };
        });
      }
      build.onLoad({ filter: /./, namespace: NAMESPACE }, ({ pluginData }) => ({
        contents: `module.exports = require(${JSON.stringify(String(pluginData))});`,
        resolveDir: REPOSITORY,
      }));
      for (const { name, file } of NATIVE_MODULES.bindings) {
        build.onLoad({ filter: new RegExp(`/${name}/binding\\.js$`) }, () => ({ contents: `module.exports = require('./${file}');` }));
      }
    },
  };
}

/** Bundles what `image` runs: /app/lib/NAME/main.mjs, which /app/bin/NAME leads to. */
export async function program(image: ImageSpec): Promise<Program> {
  const directory = `${PLACE.lib}/${image.name}`;
  const found = new Set<NpmPackage>();
  const { outputFiles, metafile } = await bundle({
    ...bundleOptions(`/${PLACE.node}`),
    absWorkingDir: REPOSITORY,
    entryPoints: { main: image.entry },
    outdir: `/${directory}`,
    outExtension: { '.js': '.mjs' },
    loader: { '.node': 'copy' },
    assetNames: '[name]',
    plugins: [nativeModules(found)],
  });
  const entries = outputFiles.map(({ path, contents }): Entry => ({
    kind: 'file',
    path: path.slice(1),
    mode: path.endsWith('.mjs') ? 0o755 : 0o644,
    content: Buffer.from(contents),
  }));
  const page = image.page === true ? await bundlePage() : { files: new Map<string, Uint8Array>(), inputs: [] };
  const inputs = [...Object.keys(metafile.inputs), ...page.inputs]
    .filter((input) => !input.startsWith(`${NAMESPACE}:`))
    .map((input) => join(REPOSITORY, input));
  const taken = image.packageFiles.map((files) => ({ ...files, directory: packageDirectory(files.dependent, files.package) }));
  const files = [...inputs, ...taken.map(({ directory: of, from }) => join(of, from))];
  const packages = [...files.filter((file) => file.includes('/node_modules/')).map(packageOf), ...found];
  return {
    entries: [
      ...entries,
      ...[...page.files].map(([name, content]): Entry => ({
        kind: 'file',
        path: `${directory}/page/${name}`,
        mode: 0o644,
        content: Buffer.from(content),
      })),
      { kind: 'symlink', path: `${PLACE.bin}/${image.name}`, target: `../lib/${image.name}/main.mjs` },
      ...taken.flatMap(({ to, directory: of, from }) => copiesOf(to, join(of, from))),
    ],
    packages: distinct(packages),
  };
}
