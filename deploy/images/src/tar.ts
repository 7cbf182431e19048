import { contentOf, type Entry } from './file-tree.ts';

/*
 * A ustar header (POSIX.1-1988), 512 bytes:
 *
 *   offset  bytes  what
 *        0    100  name: the end of the path
 *      100      8  mode, octal
 *      108      8  uid, octal
 *      116      8  gid, octal
 *      124     12  size, octal
 *      136     12  mtime, seconds since 1970, octal
 *      148      8  sum of the header's bytes, this field read as spaces: six octal digits, NUL, space
 *      156      1  type: '0' file, '2' symbolic link, '5' directory
 *      157    100  where a symbolic link leads
 *      257      8  "ustar", NUL, "00"
 *      345    155  prefix: the start of the path, without the slash between
 */
const BLOCK = 512;
const NAME_BYTES = 100;
const PREFIX_BYTES = 155;

/**
 * The tar of `entries` in their order, piece by piece. Owner and group are root, and every file is of 1970: the same
 * entries give the same bytes.
 */
export function* tar(entries: Iterable<Entry>): Generator<Buffer> {
  for (const entry of entries) {
    const content = entry.kind === 'file' ? contentOf(entry) : undefined;
    yield header(entry, content?.length ?? 0);
    if (content === undefined) continue;
    yield content;
    const rest = content.length % BLOCK;
    if (rest > 0) yield Buffer.alloc(BLOCK - rest);
  }
  yield Buffer.alloc(2 * BLOCK);
}

function header(entry: Entry, size: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, bytes: number): void => {
    block.write(`${value.toString(8).padStart(bytes - 1, '0')}\0`, at, 'latin1');
  };
  const { name, prefix } = split(entry.kind === 'directory' ? `${entry.path}/` : entry.path);
  block.write(name, 0);
  octal(entry.kind === 'symlink' ? 0o777 : entry.mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  block.write(entry.kind === 'file' ? '0' : entry.kind === 'symlink' ? '2' : '5', 156);
  if (entry.kind === 'symlink') {
    if (Buffer.byteLength(entry.target) > NAME_BYTES) throw new TypeError(`the target of the link ${entry.path} is too long for a tar`);
    block.write(entry.target, 157);
  }
  block.write('ustar\0' + '00', 257, 'latin1');
  block.write(prefix, 345);
  block.fill(' ', 148, 156);
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

function split(path: string): { readonly name: string; readonly prefix: string } {
  if (Buffer.byteLength(path) <= NAME_BYTES) return { name: path, prefix: '' };
  for (let at = path.indexOf('/'); at > 0; at = path.indexOf('/', at + 1)) {
    const [prefix, name] = [path.slice(0, at), path.slice(at + 1)];
    if (name !== '' && Buffer.byteLength(name) <= NAME_BYTES && Buffer.byteLength(prefix) <= PREFIX_BYTES) return { name, prefix };
  }
  throw new TypeError(`the path ${path} is too long for a tar`);
}
