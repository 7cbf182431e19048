import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Component } from './component.ts';
import { contentOf, copiesOf, copyOf, text, type Entry } from './file-tree.ts';

/** What an image takes from the system that it is built on: glibc, libstdc++ and libgcc; a shell and a locale for initdb. */
export interface SystemFiles {
  readonly entries: readonly Entry[];
  readonly components: readonly Component[];
}

function run(
  program: string,
  args: readonly string[],
): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  const { error, status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } });
  return error === undefined ? { status, stdout, stderr } : { status: null, stdout: '', stderr: error.message };
}

/**
 * The shared libraries that `programs` load and that lie outside `inside`, by the paths at which they are looked for.
 * Throws when one is missing.
 */
export function systemLibraries(programs: readonly string[], inside: string): string[] {
  const found = new Set<string>();
  const { status, stdout, stderr } = run('ldd', programs);
  if (status !== 0 || stdout === '') throw new Error(`ldd could not list shared libraries: ${stderr.trim()}`);
  let program = programs[0] ?? '';
  for (const line of stdout.split('\n')) {
    if (line.endsWith(':') && !line.startsWith('\t')) program = line.slice(0, -1);
    const missing = /^\t(\S+) => not found/.exec(line)?.[1];
    if (missing !== undefined) throw new Error(`${program} needs ${missing}, which neither its package nor this machine has`);
    const path = /^\t(?:\S+ => )?(\/\S+) \(0x/.exec(line)?.[1];
    if (path !== undefined && !realpathSync(path).startsWith(realpathSync(inside))) found.add(path);
  }
  return [...found].toSorted();
}

interface SystemPackage {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  /** Its paragraph in dpkg's status file. */
  readonly paragraph: string;
}

/** By path, the Debian package that it is of; empty on a system without dpkg. */
function ownersOf(paths: readonly string[]): ReadonlyMap<string, SystemPackage> {
  // Since /lib became a link to /usr/lib, dpkg may know a file by either name.
  const names = (path: string): string[] => [path, realpathSync(path), realpathSync(path).replace(/^\/usr\//, '/')];
  // It fails when it does not know one of them, and tells the others all the same.
  const { stdout } = run('dpkg-query', ['-S', ...paths.flatMap(names)]);
  const nameOf = new Map(ownerLines(stdout));
  if (nameOf.size === 0) return new Map();
  const paragraphs = run('dpkg-query', ['-s', ...new Set(nameOf.values())])
    .stdout.trim()
    .split('\n\n')
    .map(systemPackage);
  return new Map(
    paths.flatMap((path) => {
      const owner = names(path)
        .map((name) => nameOf.get(name))
        .find((name) => name !== undefined);
      const found = paragraphs.find(({ name }) => name === owner?.split(':')[0]);
      return found === undefined ? [] : [[path, found]];
    }),
  );
}

/** Lines of `dpkg-query -S`, `libc6:amd64: /lib/x86_64-linux-gnu/libc.so.6`, as path and package; the first of several. */
function ownerLines(text: string): (readonly [string, string])[] {
  return text.split('\n').flatMap((line) => {
    const at = line.indexOf(': /');
    return at < 0 ? [] : [[line.slice(at + 2), line.slice(0, at).split(',')[0] ?? ''] as const];
  });
}

function systemPackage(paragraph: string): SystemPackage {
  const field = (key: string): string => new RegExp(`^${key}: (.*)$`, 'm').exec(paragraph)?.[1] ?? '';
  return { name: field('Package'), version: field('Version'), architecture: field('Architecture'), paragraph };
}

function distribution(): { readonly id: string; readonly version: string } {
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const field = (key: string): string => new RegExp(`^${key}="?([^"\n]*)"?$`, 'm').exec(release)?.[1] ?? 'unknown';
  return { id: field('ID'), version: field('VERSION_ID') };
}

function unownedFile(entry: Extract<Entry, { kind: 'file' }>, description: string): Component {
  const hex = createHash('sha256').update(contentOf(entry)).digest('hex');
  return { type: 'file', name: entry.path, hash: { algorithm: 'SHA-256', hex }, description };
}

/**
 * Files and directories of this machine, with what says whose they are and under what licence: dpkg's paragraphs in
 * var/lib/dpkg/status.d, where scanners look, and the copyright files.
 */
export function systemFiles(files: readonly { readonly from: string; readonly to: string }[]): SystemFiles {
  const { id, version } = distribution();
  const packages = new Map<string, SystemPackage>();
  const unowned: Component[] = [];
  const entries: Entry[] = [];
  const owned = ownersOf(files.map(({ from }) => from));
  for (const { from, to } of files) {
    const owner = owned.get(from);
    const taken = copiesOf(to, realpathSync(from));
    entries.push(...taken);
    if (owner !== undefined) packages.set(owner.name, owner);
    else for (const entry of taken) if (entry.kind === 'file') unowned.push(unownedFile(entry, `Taken from ${id} ${version}.`));
  }
  const owners = [...packages.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
  for (const { name, paragraph } of owners) {
    entries.push(text(`var/lib/dpkg/status.d/${name}`, `${paragraph}\n`));
    const copyright = join('/usr/share/doc', name, 'copyright');
    if (existsSync(copyright)) entries.push(copyOf(`usr/share/doc/${name}/${basename(copyright)}`, realpathSync(copyright)));
  }
  const components = owners.map((owner): Component => ({
    type: 'library',
    name: owner.name,
    version: owner.version,
    purl: `pkg:deb/${id}/${encodeURIComponent(owner.name)}@${encodeURIComponent(owner.version)}?arch=${owner.architecture}&distro=${id}-${version}`,
  }));
  return { entries, components: [...components, ...unowned] };
}
