/**
 * `node test/bench/bulk-load.ts`: what fills a database, beside stock PostgreSQL and beside quorum standbys, in one
 * run: one INSERT of many small rows, its primary key, COPY from a file, CREATE INDEX, CREATE DATABASE, pgbench -i, and
 * small commits while a COPY runs.
 *
 * Each figure is the seconds until the statement (or its last commit) was acknowledged, and the MB (10^6 bytes) of that
 * system's own WAL in it. COPY reads a file on the server's side, so that no client is measured. `--rows`, `--copy-mib`
 * and `--scale` size the work, `--only ours,alone,quorum` leaves systems out, `--cpu` adds CPU seconds by part, `--copies Full,Mixed` runs ours once
 * with each, and `--plain-text` has our programs speak without TLS, as the peer's do.
 */
import { createWriteStream } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import type { Client } from 'pg';
import { connectTo, initialise, requirePgbench } from './pgbench.ts';
import { machineLoad } from './process-usage.ts';
import { chosenSystems, copiesNamed, type BenchSystem } from './systems.ts';
import { markdownTable, MIB, print, quantile, shown } from './table.ts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '300000' },
    'copy-mib': { type: 'string', default: '48' },
    scale: { type: 'string', default: '5' },
    only: { type: 'string' },
    cpu: { type: 'boolean', default: false },
    copies: { type: 'string', default: 'Full' },
    'plain-text': { type: 'boolean', default: false },
  },
});
const COPY_LINE_TEXT = 'x'.repeat(90);
const LINES_PER_PIECE = 10_000;

interface Figure {
  readonly seconds: number;
  /** Of WAL, 10^6 bytes. */
  readonly walMb: number;
  readonly cpu: ReadonlyMap<string, number>;
}

/** Lines of a number and a text, `mib` MiB in all, in a file that everybody may read. */
async function copyFile(directory: string, mib: number): Promise<string> {
  const file = path.join(directory, 'rows.copy');
  const lineBytes = COPY_LINE_TEXT.length + 9;
  const lines = Math.ceil((mib * MIB) / lineBytes);
  const piece = function* (): Generator<string> {
    for (let from = 0; from < lines; from += LINES_PER_PIECE) {
      const count = Math.min(LINES_PER_PIECE, lines - from);
      yield Array.from({ length: count }, (_unused, index) => `${String(from + index).padStart(7, '0')}\t${COPY_LINE_TEXT}\n`).join('');
    }
  };
  await pipeline(Readable.from(piece()), createWriteStream(file));
  await chmod(directory, 0o755);
  await chmod(file, 0o644);
  return file;
}

async function walBytes(client: Client): Promise<number> {
  const { rows } = await client.query<{ bytes: string }>("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') as bytes");
  return Number(rows[0]?.bytes);
}

/** Commits one small row after another until `signal` aborts; the milliseconds of each. */
async function commitUntil(client: Client, signal: AbortSignal): Promise<number[]> {
  const took: number[] = [];
  for (let count = 0; !signal.aborted; count++) {
    const startedAt = performance.now();
    await client.query('insert into small_commits values ($1)', [count]);
    took.push(performance.now() - startedAt);
  }
  return took;
}

interface Outcome {
  readonly name: string;
  readonly figures: ReadonlyMap<string, Figure>;
  /** Milliseconds of small commits while a COPY ran. */
  readonly commits: readonly number[];
}

async function measure(system: BenchSystem, file: string): Promise<Outcome> {
  const figures = new Map<string, Figure>();
  const client = await connectTo(system.superuser);
  const step = async (name: string, work: () => Promise<unknown>): Promise<void> => {
    const [from, before, startedAt] = [await walBytes(client), await system.cpu(), performance.now()];
    await work();
    const seconds = (performance.now() - startedAt) / 1000;
    const after = await system.cpu();
    const figure = {
      seconds,
      walMb: ((await walBytes(client)) - from) / 1e6,
      cpu: new Map([...after].map(([part, used]) => [part, used - (before.get(part) ?? 0)])),
    };
    figures.set(name, figure);
    print(
      `${system.target.name}: ${name}, ${shown(figure.seconds, 2)} s, ${shown(figure.walMb)} MB of WAL, ${shown(figure.walMb / figure.seconds, 1)} MB/s`,
    );
  };
  try {
    await client.query(
      'create table numbers (i int, t text); create table copied (i int, t text); create table copied_later (like copied); create table small_commits (i int)',
    );
    await step(`insert ${shown(Number(values.rows))} rows`, () =>
      client.query(`insert into numbers select g, '' from generate_series(1, ${Number(values.rows)}) g`),
    );
    await step('primary key', () => client.query('alter table numbers add primary key (i)'));
    await step(`copy ${values['copy-mib']} MiB`, () => client.query(`copy copied from '${file}'`));
    await step('create index', () => client.query('create index on copied (t, i)'));
    await step('create database', () => client.query('create database another'));
    await step(`pgbench -i -s ${values.scale}`, () => initialise(system.target, Number(values.scale)));
    const committing = await connectTo(system.superuser);
    const over = new AbortController();
    const commits = commitUntil(committing, over.signal);
    try {
      await step('copy beside commits', () => client.query(`copy copied_later from '${file}'`));
    } finally {
      over.abort();
    }
    const took = await commits;
    await committing.end();
    return { name: system.target.name, figures, commits: took };
  } finally {
    await client.end();
  }
}

/** Rates of each system, and how many times another's rate ours is. */
function rateRows(outcomes: readonly Outcome[]): string[][] {
  const [first, ...others] = outcomes;
  if (first === undefined) return [];
  const rate = (figure: Figure | undefined): number => (figure === undefined ? Number.NaN : figure.walMb / figure.seconds);
  return [...first.figures.keys()].map((name) => {
    const cells = outcomes.map(({ figures }) => {
      const figure = figures.get(name);
      return figure === undefined ? '' : `${shown(figure.seconds, 2)} s, ${shown(rate(figure), 1)} MB/s`;
    });
    // Of the times: WAL of the same work differs by what page images and hints add.
    const ratios = others.map(({ figures }) =>
      shown((figures.get(name)?.seconds ?? Number.NaN) / (first.figures.get(name)?.seconds ?? 0), 2),
    );
    return [name, shown(first.figures.get(name)?.walMb ?? 0), ...cells, ...ratios];
  });
}

const systems = chosenSystems(values.only, { copies: copiesNamed(values.copies), plainText: values['plain-text'] });
print(await requirePgbench());
print(`at the start ${machineLoad()}\n`);
const scratch = await mkdtemp(path.join(tmpdir(), 'ka-bulk-'));
const outcomes: Outcome[] = [];
try {
  const file = await copyFile(scratch, Number(values['copy-mib']));
  for (const start of systems) {
    const system = await start();
    try {
      outcomes.push(await measure(system, file));
      const memory = system.memoryMib?.();
      if (memory !== undefined) print(`${system.target.name}: ${shown(memory)} MiB in Node processes at the end`);
    } finally {
      await system.stop();
    }
  }
} finally {
  await rm(scratch, { recursive: true, force: true });
}
print(`\n${machineLoad()}\n`);
const names = outcomes.map(({ name }) => name);
print(markdownTable(['', 'MB of WAL', ...names, ...names.slice(1).map((name) => `speed, times ${name}`)], rateRows(outcomes)));
print(
  `\n${markdownTable(
    ['commits beside a COPY', 'commits', 'p50, ms', 'p99, ms', 'longest, ms'],
    outcomes.map(({ name, commits }) => [
      name,
      shown(commits.length),
      shown(quantile(commits, 0.5), 2),
      shown(quantile(commits, 0.99), 2),
      shown(Math.max(...commits), 2),
    ]),
  )}`,
);
if (values.cpu) {
  const rows = outcomes.flatMap(({ name, figures }) =>
    [...(figures.values().next().value?.cpu.keys() ?? [])].map((part) => [
      name,
      part,
      ...[...figures.values()].map(({ cpu }) => shown(cpu.get(part) ?? Number.NaN, 2)),
    ]),
  );
  print(`\n${markdownTable(['CPU seconds', 'part', ...(outcomes[0]?.figures.keys() ?? [])], rows)}`);
}
