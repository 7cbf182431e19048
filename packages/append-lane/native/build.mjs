// Compiles the append lane's addon for the pinned Node when its sources have changed. Run directly, or import what it exports.
import { compileAddon } from '../../../scripts/compile-native.mjs';

/** Path of the compiled addon. Throws when there is no C compiler or it fails. */
export function buildAppendLane(options = {}) {
  return compileAddon({ directory: import.meta.dirname, name: 'append_lane', flags: ['-pthread'], ...options });
}

if (import.meta.main) process.stdout.write(`${buildAppendLane()}\n`);
