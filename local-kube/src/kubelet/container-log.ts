import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';

/** A log file is set aside at this size and the one before it dropped: a container keeps twice this at most. */
const ROTATE_AT_BYTES = 8 * 1024 * 1024;
/** A line longer than this is cut into pieces. */
const LINE_LIMIT = 64 * 1024;

/** Of a failed container's log, so much is its termination message. */
const TAIL_LINES = 80;
const TAIL_BYTES = 2048;

/** One line as written: when it came, and what it says. In the file: `TIME TEXT`. */
export type LineListener = (line: string) => void;

/** What one run of a container printed, with the time of each line; followers hear of new lines. */
export class ContainerLog {
  readonly #file: string;
  readonly #now: () => number;
  readonly #followers = new Set<{ line: LineListener; end: () => void }>();
  readonly #partial = { stdout: '', stderr: '' };
  #fd: number;
  #bytes = 0;
  #ended = false;

  constructor(file: string, now: () => number) {
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    this.#file = file;
    this.#now = now;
    this.#fd = openSync(file, 'w', 0o600);
  }

  write(stream: 'stdout' | 'stderr', chunk: string): void {
    if (this.#ended) return;
    const pieces = `${this.#partial[stream]}${chunk}`.split('\n');
    let rest = pieces.pop() ?? '';
    while (rest.length > LINE_LIMIT) {
      pieces.push(rest.slice(0, LINE_LIMIT));
      rest = rest.slice(LINE_LIMIT);
    }
    this.#partial[stream] = rest;
    if (pieces.length > 0) this.#lines(pieces);
  }

  end(): void {
    if (this.#ended) return;
    const rest = [this.#partial.stdout, this.#partial.stderr].filter((text) => text !== '');
    if (rest.length > 0) this.#lines(rest);
    this.#ended = true;
    closeSync(this.#fd);
    for (const follower of this.#followers) follower.end();
    this.#followers.clear();
  }

  /** What has been written so far, oldest first. */
  lines(): string[] {
    return readLog(this.#file);
  }

  /** The last lines as they were printed, as much as a kubelet keeps of them in a termination message. */
  tail(): string {
    const lines = this.lines()
      .slice(-TAIL_LINES)
      .map((line) => line.slice(line.indexOf(' ') + 1));
    return Buffer.from(lines.join('\n')).subarray(-TAIL_BYTES).toString();
  }

  /** Hears of later lines until `end`; returns how to stop. */
  follow(line: LineListener, end: () => void): () => void {
    if (this.#ended) {
      end();
      return () => undefined;
    }
    const follower = { line, end };
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }

  #lines(texts: readonly string[]): void {
    const time = new Date(this.#now()).toISOString();
    const lines = texts.map((text) => `${time} ${text}`);
    this.#bytes += writeSync(this.#fd, `${lines.join('\n')}\n`);
    for (const follower of this.#followers) for (const line of lines) follower.line(line);
    if (this.#bytes < ROTATE_AT_BYTES) return;
    closeSync(this.#fd);
    renameSync(this.#file, `${this.#file}.1`);
    this.#fd = openSync(this.#file, 'w', 0o600);
    this.#bytes = 0;
  }
}

/** All that is left of a log, oldest first; empty when there is none. */
export function readLog(file: string): string[] {
  return [`${file}.1`, file].flatMap((part) =>
    existsSync(part)
      ? readFileSync(part, 'utf8')
          .split('\n')
          .filter((line) => line !== '')
      : [],
  );
}

export function removeLog(file: string): void {
  for (const part of [file, `${file}.1`]) rmSync(part, { force: true });
}
