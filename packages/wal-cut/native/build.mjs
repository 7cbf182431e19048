// Compiles the addon that cuts WAL for the pinned Node when its sources have changed. Run directly, or import what it exports.
import { compileAddon, sanitizedSourcesOf } from '../../../scripts/compile-native.mjs';

const DIRECTORY = import.meta.dirname;
/** The checksum of records is that of redo batches. */
const SHARED_SOURCES = ['../../append-lane/native/crc32c.c'];

/** Path of the compiled addon. Throws when there is no C compiler or it fails. */
export function buildWalCut(options = {}) {
  return compileAddon({ directory: DIRECTORY, name: 'wal_cut', shared: SHARED_SOURCES, ...options });
}

/** For a program of a test: see sanitizedSourcesOf. */
export function sanitizedSources() {
  return sanitizedSourcesOf(DIRECTORY, SHARED_SOURCES);
}

if (import.meta.main) process.stdout.write(`${buildWalCut()}\n`);
