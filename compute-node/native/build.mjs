// Compiles the shim, libaurora_shim.so, when its sources have changed. Run directly, or import what it exports.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { COMPILER, compileNative, SANITIZERS, sourcesIn } from '../../scripts/compile-native.mjs';

export { SANITIZERS };

const DIRECTORY = import.meta.dirname;

/** Path of the compiled shim. Throws when there is no C compiler or it fails. */
export function buildShim(options = {}) {
  return compileNative({ directory: DIRECTORY, name: 'libaurora_shim', sources: sourcesIn(DIRECTORY), flags: ['-O2'], ...options });
}

/**
 * What to preload in place of the shim to run it under AddressSanitizer and UndefinedBehaviorSanitizer, in this order:
 * their options, their runtime (PostgreSQL itself is not built with it), the shim. A finding ends the process, and its
 * report is `sanitizer.PID` in the process's working directory, PostgreSQL's data directory. Throws as buildShim does.
 */
export function buildSanitizedShim(options = {}) {
  const compiler = options.compiler ?? COMPILER;
  const settings = compileNative({
    directory: DIRECTORY,
    name: 'libsanitizer_options',
    sources: ['test/sanitizer-options.c'],
    flags: [],
    ...options,
  });
  const shim = compileNative({
    directory: DIRECTORY,
    name: 'libaurora_shim_sanitized',
    sources: sourcesIn(DIRECTORY),
    flags: ['-O1', ...SANITIZERS],
    ...options,
  });
  const runtime = spawnSync(compiler, ['-print-file-name=libasan.so'], { encoding: 'utf8' }).stdout.trim();
  if (!existsSync(runtime)) throw new Error(`'${compiler}' has no libasan.so; the shim's tests need gcc's libasan and libubsan`);
  return [settings, runtime, shim];
}

if (import.meta.main) process.stdout.write(`${buildShim()}\n`);
