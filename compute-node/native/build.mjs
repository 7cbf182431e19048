// Compiles the shim, libaurora_shim.so, when its sources have changed. Run directly, or import buildShim.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';

const SOURCE = import.meta.dirname;
const OUTPUT = join(SOURCE, '..', '..', '.kube-aurora', 'build');
const FLAGS = ['-std=c17', '-O2', '-g', '-Wall', '-Wextra', '-Werror', '-Wno-nonnull-compare', '-fPIC', '-shared', '-fvisibility=hidden'];

/**
 * Path of the compiled shim; its name carries the hash of sources and flags, so that a stale one is never loaded.
 * Throws when there is no C compiler or it fails.
 */
export function buildShim({ compiler = process.env.CC ?? 'cc', output = OUTPUT } = {}) {
  const names = readdirSync(SOURCE)
    .filter((name) => /\.[ch]$/.test(name))
    .toSorted();
  const hash = createHash('sha256').update(FLAGS.join(' '));
  for (const name of names) hash.update(`\0${name}\0`).update(readFileSync(join(SOURCE, name)));
  const library = join(output, `libaurora_shim-${hash.digest('hex').slice(0, 16)}.so`);
  if (existsSync(library)) return library;
  mkdirSync(output, { recursive: true });
  const unfinished = `${library}.${process.pid}`;
  const sources = names.filter((name) => name.endsWith('.c')).map((name) => join(SOURCE, name));
  const { error, status, stderr } = spawnSync(compiler, [...FLAGS, '-o', unfinished, ...sources, '-ldl'], { encoding: 'utf8' });
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
