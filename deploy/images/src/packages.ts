import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import type { Component } from './component.ts';
import { copyOf, type Entry } from './file-tree.ts';
import { PLACE } from './image-table.ts';

/** The repository's root. */
export const REPOSITORY = fileURLToPath(new URL('../../../', import.meta.url));

/** An installed npm package. */
export interface NpmPackage {
  readonly directory: string;
  readonly name: string;
  readonly version: string;
  readonly license: string | undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** The package that has `file`, by the nearest package.json with a name and a version. */
export function packageOf(file: string): NpmPackage {
  for (let directory = dirname(file); directory !== dirname(directory); directory = dirname(directory)) {
    const manifest = join(directory, 'package.json');
    if (!existsSync(manifest)) continue;
    const parsed: unknown = JSON.parse(readFileSync(manifest, 'utf8'));
    if (!isRecord(parsed)) continue;
    const [name, version] = [textOf(parsed['name']), textOf(parsed['version'])];
    if (name !== undefined && version !== undefined) return { directory, name, version, license: textOf(parsed['license']) };
  }
  throw new Error(`${file} is in no npm package`);
}

/** The directory of the package `name`, as a file in the directory `dependent` below the repository sees it. */
export function packageDirectory(dependent: string, name: string): string {
  const require = createRequire(join(REPOSITORY, dependent, 'package.json'));
  const found = require.resolve.paths(name)?.map((directory) => join(directory, name)) ?? [];
  const directory = found.find((candidate) => existsSync(join(candidate, 'package.json')));
  if (directory === undefined) throw new Error(`the npm package ${name} is not installed`);
  return realpathSync(directory);
}

/** The version of all that is made here. */
export function ownVersion(): string {
  return packageOf(join(REPOSITORY, 'package.json')).version;
}

/** The lockfile's digests, by NAME@VERSION. */
function lockedDigests(): ReadonlyMap<string, string> {
  const lock: unknown = parse(readFileSync(join(REPOSITORY, 'pnpm-lock.yaml'), 'utf8'));
  const packages = isRecord(lock) && isRecord(lock['packages']) ? lock['packages'] : {};
  const digests = new Map<string, string>();
  for (const [key, value] of Object.entries(packages)) {
    const resolution = isRecord(value) ? value['resolution'] : undefined;
    const integrity = isRecord(resolution) ? textOf(resolution['integrity']) : undefined;
    if (integrity?.startsWith('sha512-') === true) digests.set(key, Buffer.from(integrity.slice(7), 'base64').toString('hex'));
  }
  return digests;
}

/** Components with the digests of the lockfile. Throws when it does not have one of them: then what is installed is not what it says. */
export function npmComponents(packages: readonly NpmPackage[]): Component[] {
  const digests = lockedDigests();
  return packages.map(({ name, version, license }) => {
    const hex = digests.get(`${name}@${version}`);
    if (hex === undefined) throw new Error(`pnpm-lock.yaml has no ${name}@${version}: install what it pins`);
    return {
      type: 'library',
      name,
      version,
      purl: `pkg:npm/${name.replace(/^@/, '%40')}@${version}`,
      ...(license === undefined ? {} : { license }),
      hash: { algorithm: 'SHA-512', hex },
    };
  });
}

const LICENSE_FILE = /^(licen[cs]e|notice|copying)([.-].*)?$/i;

/** The texts of licences, which most of them ask to be passed on. */
export function licenseFiles(packages: readonly NpmPackage[]): Entry[] {
  return packages.flatMap(({ directory, name, version }) =>
    readdirSync(directory)
      .filter((file) => LICENSE_FILE.test(file))
      .map((file) => copyOf(`${PLACE.licenses}/${name.replace('/', '+')}@${version}/${file}`, join(directory, file))),
  );
}

/** Each package once, by name and version. */
export function distinct(packages: readonly NpmPackage[]): NpmPackage[] {
  const keyed = new Map(packages.map((one) => [`${one.name}@${one.version}`, one]));
  return [...keyed].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one);
}
