/**
 * What all watching costs: CPU of all parts of a system for a transaction of TPC-B, watched and not, in turns on the same system, so that whatever else the machine
 * does befalls both. Watched is ten times as often as it is: the agent asks PostgreSQL ten times each second, and every program is scraped every 1.5 s. A tenth of
 * the difference is the cost.
 *
 *   node test/bench/watching.ts [ROUNDS] [SECONDS] [CLIENTS]
 */
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { daemonMetricsAddresses } from './cluster-usage.ts';
import { initialise, requirePgbench, runFor } from './pgbench.ts';
import { machineLoad } from './process-usage.ts';
import { scrape } from './metrics.ts';
import { chosenSystems, type CpuReading } from './systems.ts';
import { markdownTable, print, quantile, shown } from './table.ts';

const [ROUNDS = 12, SECONDS = 10, CLIENTS = 8] = process.argv.slice(2).map(Number);
const TIMES = 10;
/** Prometheus' usual interval. */
const SCRAPE_MS = 15_000;
const PRELOAD = path.join(import.meta.dirname, 'pause-looking.ts');

/** Scrapes all of them until it is stopped. */
function scraping(addresses: readonly string[]): () => Promise<void> {
  const stop = new AbortController();
  const running = (async () => {
    while (!stop.signal.aborted) {
      await Promise.all(addresses.map((address) => scrape(address)));
      // What ends it early is that it is stopped.
      await delay(SCRAPE_MS / TIMES, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  })();
  return async () => {
    stop.abort();
    await running;
  };
}

print(`${await requirePgbench()}; ${ROUNDS} rounds of two times ${SECONDS} s, ${CLIENTS} clients; ${machineLoad()}`);
const [start] = chosenSystems('ours', { nodeOptions: `--import=${PRELOAD}`, env: { TIMES_LOOKED: String(TIMES) } });
const system = await start?.();
if (system?.cluster === undefined) throw new TypeError('ours is no cluster');
const { cluster, target } = system;
const cpu = (): Promise<CpuReading> => system.cpu();
const agent = cluster.writer.pid ?? 0;
const addresses = [...daemonMetricsAddresses(cluster), `${cluster.writer.host}:7003`];

/** CPU of each part for a transaction, in milliseconds. */
async function window(isWatched: boolean): Promise<Map<string, number>> {
  const stop = isWatched ? scraping(addresses) : undefined;
  if (isWatched) process.kill(agent, 'SIGUSR2');
  const before = await cpu();
  const { transactions } = await runFor(target, 'tpcb', CLIENTS, SECONDS);
  const after = await cpu();
  if (isWatched) process.kill(agent, 'SIGUSR2');
  await stop?.();
  return new Map([...after].map(([part, seconds]) => [part, (1000 * (seconds - (before.get(part) ?? 0))) / transactions]));
}

try {
  await initialise(target, 10);
  await system.settle();
  await runFor(target, 'tpcb', CLIENTS, 20);
  const rounds: { readonly watched: Map<string, number>; readonly not: Map<string, number> }[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    // Either goes first in turn: what grows during a round befalls both.
    const [first, second] = [await window(round % 2 === 0), await window(round % 2 !== 0)];
    rounds.push(round % 2 === 0 ? { watched: first, not: second } : { watched: second, not: first });
    const last = rounds.at(-1);
    print(`round ${round + 1}: ${shown(last?.not.get('all') ?? 0, 3)} ms, watched ${shown(last?.watched.get('all') ?? 0, 3)} ms`);
  }
  const rows = [...(rounds[0]?.not.keys() ?? [])].map((part) => {
    const of = (one: Map<string, number>): number => one.get(part) ?? Number.NaN;
    const more = rounds.map(({ watched, not }) => (of(watched) / of(not) - 1) / TIMES);
    const percent = (at: number): string => `${shown(quantile(more, at) * 100, 2)} %`;
    const median = (which: 'watched' | 'not'): string =>
      shown(
        quantile(
          rounds.map((round) => of(round[which])),
          0.5,
        ),
        3,
      );
    return [part, median('not'), median('watched'), percent(0.5), `${percent(0.25)} to ${percent(0.75)}`];
  });
  print(
    markdownTable(
      ['ms of CPU a transaction', 'not watched', `watched ${TIMES} times as often`, 'cost of watching', 'middle half of rounds'],
      rows,
    ),
  );
  print(machineLoad());
} finally {
  await system.stop();
}
