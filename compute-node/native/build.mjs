// Compiles the shim, libaurora_shim.so, when its sources have changed. Run directly, or import what it exports.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';

const SOURCE = import.meta.dirname;
const OUTPUT = join(SOURCE, '..', '..', '.kube-aurora', 'build');
const COMPILER = process.env.CC ?? 'cc';
const FLAGS = ['-std=c17', '-g', '-Wall', '-Wextra', '-Werror', '-Wno-nonnull-compare', '-fPIC', '-shared', '-fvisibility=hidden'];
/** AddressSanitizer and UndefinedBehaviorSanitizer; a finding ends the process. */
export const SANITIZERS = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-fno-omit-frame-pointer'];

/**
 * Path of the compiled shim; its name carries the hash of sources and flags, so that a stale one is never loaded.
 * Throws when there is no C compiler or it fails.
 */
export function buildShim(options = {}) {
  return compile('aurora_shim', shimSources(), ['-O2'], options);
}

/**
 * What to preload in place of the shim to run it under AddressSanitizer and UndefinedBehaviorSanitizer, in this order:
 * their options, their runtime (PostgreSQL itself is not built with it), the shim. A finding ends the process, and its
 * report is `sanitizer.PID` in the process's working directory, PostgreSQL's data directory. Throws as buildShim does.
 */
export function buildSanitizedShim(options = {}) {
  const compiler = options.compiler ?? COMPILER;
  const settings = compile('sanitizer_options', ['test/sanitizer-options.c'], [], options);
  const shim = compile('aurora_shim_sanitized', shimSources(), ['-O1', ...SANITIZERS], options);
  const runtime = spawnSync(compiler, ['-print-file-name=libasan.so'], { encoding: 'utf8' }).stdout.trim();
  if (!existsSync(runtime)) throw new Error(`'${compiler}' has no libasan.so; the shim's tests need gcc's libasan and libubsan`);
  return [settings, runtime, shim];
}

function shimSources() {
  return readdirSync(SOURCE)
    .filter((name) => name.endsWith('.c'))
    .toSorted();
}

function compile(name, sources, extraFlags, { compiler = COMPILER, output = OUTPUT }) {
  const flags = [...FLAGS, ...extraFlags];
  const headers = readdirSync(SOURCE)
    .filter((file) => file.endsWith('.h'))
    .toSorted();
  // Nothing of this machine's paths is in it: the same sources give the same bytes wherever they lie.
  const paths = '-ffile-prefix-map=';
  const hash = createHash('sha256').update([...flags, paths].join(' '));
  for (const file of [...headers, ...sources]) hash.update(`\0${file}\0`).update(readFileSync(join(SOURCE, file)));
  const library = join(output, `lib${name}-${hash.digest('hex').slice(0, 16)}.so`);
  if (existsSync(library)) return library;
  mkdirSync(output, { recursive: true });
  const unfinished = `${library}.${process.pid}`;
  const { error, status, stderr } = spawnSync(
    compiler,
    [...flags, `${paths}${SOURCE}=compute-node/native`, '-o', unfinished, ...sources, '-ldl'],
    {
      cwd: SOURCE,
      encoding: 'utf8',
    },
  );
  if (error !== undefined) {
    throw new Error(
      `no C compiler: '${compiler}' cannot be run (${error.message}). Install one (Debian: apt-get install gcc libc6-dev) or name it in CC.`,
    );
  }
  if (status !== 0) throw new Error(`'${compiler}' could not compile the shim:\n${stderr}`);
  renameSync(unfinished, library);
  return library;
}

if (import.meta.main) process.stdout.write(`${buildShim()}\n`);
