import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import type { KubeObject } from './object.ts';

/** One change on disk: `object` is absent for a deletion. One JSON line each. */
export interface JournalEntry {
  readonly rv: number;
  readonly resource: string;
  readonly key: string;
  readonly object?: KubeObject;
}

export interface Journal {
  /** Everything that was kept, oldest first; later entries of a key replace earlier ones. */
  load(): JournalEntry[];
  append(entry: JournalEntry): void;
  /** Bytes appended since the last snapshot. */
  readonly appendedBytes: number;
  /** Replaces everything by these entries. */
  snapshot(entries: Iterable<JournalEntry>): void;
  close(): void;
}

/** A journal that keeps nothing, for tests. */
export function memoryJournal(): Journal {
  return { load: () => [], append: () => undefined, appendedBytes: 0, snapshot: () => undefined, close: () => undefined };
}

/**
 * State on disk: `snapshot.jsonl` (written whole, renamed into place) and `journal.jsonl` (appended). Writes reach the
 * operating system before the API answers, so killing the process loses nothing; they are not synced, so a power cut
 * may cost the last moments. A torn last line is dropped on load. Files are 0600: they hold Secrets.
 */
export class FileJournal implements Journal {
  readonly #directory: string;
  #fd: number;
  #appended = 0;

  constructor(directory: string) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#directory = directory;
    this.#fd = openSync(this.#path('journal.jsonl'), 'a', 0o600);
    this.#dropTornLine();
  }

  /**
   * What is appended next must begin a line of its own: behind a torn one it could not be read, and everything after it
   * neither.
   */
  #dropTornLine(): void {
    const written = readFileSync(this.#path('journal.jsonl'));
    const whole = written.lastIndexOf(0x0a) + 1;
    if (whole < written.length) ftruncateSync(this.#fd, whole);
  }

  get appendedBytes(): number {
    return this.#appended;
  }

  load(): JournalEntry[] {
    return [...this.#read('snapshot.jsonl'), ...this.#read('journal.jsonl')];
  }

  append(entry: JournalEntry): void {
    this.#appended += writeSync(this.#fd, `${JSON.stringify(entry)}\n`);
  }

  /**
   * Replaying a journal over the snapshot that was made from it gives the same state, so a kill between the two steps
   * is harmless.
   */
  snapshot(entries: Iterable<JournalEntry>): void {
    const lines: string[] = [];
    for (const entry of entries) lines.push(JSON.stringify(entry));
    const partial = this.#path('snapshot.jsonl.partial');
    writeFileSync(partial, lines.length === 0 ? '' : `${lines.join('\n')}\n`, { mode: 0o600 });
    renameSync(partial, this.#path('snapshot.jsonl'));
    ftruncateSync(this.#fd, 0);
    this.#appended = 0;
  }

  close(): void {
    closeSync(this.#fd);
    this.#fd = -1;
  }

  #path(name: string): string {
    return path.join(this.#directory, name);
  }

  #read(name: string): JournalEntry[] {
    if (!existsSync(this.#path(name))) return [];
    const text = readFileSync(this.#path(name), 'utf8');
    // Only what ends with a newline was written whole.
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    return whole
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as JournalEntry);
  }
}
