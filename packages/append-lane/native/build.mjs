// Compiles the append lane's addon for the pinned Node when its sources have changed. Run directly, or import what it exports.
import { compileAddon, SANITIZERS } from '../../../scripts/compile-native.mjs';

/** Path of the compiled addon; under the sanitizers where `isSanitized`. Throws when there is no C compiler or it fails. */
export function buildAppendLane({ isSanitized = false, ...options } = {}) {
  const flags = ['-pthread', ...(isSanitized ? SANITIZERS : [])];
  return compileAddon({ directory: import.meta.dirname, name: 'append_lane', flags, ...options });
}

if (import.meta.main) process.stdout.write(`${buildAppendLane()}\n`);
