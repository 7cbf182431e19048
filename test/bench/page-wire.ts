/**
 * `node test/bench/page-wire.ts --seconds 3 --runs 3`: what the wire of page reads costs, without what makes pages: a client, and a daemon's port that
 * has every page at hand, each a process. One page at a time, as lookups ask; and 64 at a time with four requests on their way, as a scan does. In TLS and in plain
 * text, in turns; microseconds of CPU a page of either end, and a request's round trip.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { AppendLanes } from '@kube-aurora/append-lane';
import { systemClock } from '@kube-aurora/clock';
import { compileEarly, letHeapGrow, MEMORY_ENVIRONMENT, silentLogger } from '@kube-aurora/process';
import { credentialsOf, listenFrames, PLAIN_TEXT, SegmentClient, type Credentials, type GetPagesRequest } from '@kube-aurora/rpc';
import { MutualTls } from '../../packages/tls/src/mutual-tls.ts';
import { readMaterial, type MaterialFiles } from '../../packages/tls/src/material.ts';
import { RefusalLog } from '../../packages/tls/src/refusal-log.ts';
import { filesOf, newAuthority } from '../../packages/tls/src/testing/programs.ts';
import { cpuSeconds, machineLoad } from './process-usage.ts';
import { markdownTable, print, quantile, shown } from './table.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3' },
    runs: { type: 'string', default: '3' },
    warmup: { type: 'string', default: '1' },
    lanes: { type: 'string', default: 'yes' },
    serve: { type: 'boolean', default: false },
  },
});

const PAGE_BYTES = 8192;
const clock = systemClock();
const nothing = (): void => undefined;

function credentials(files: MaterialFiles): Credentials {
  const reading = readMaterial(files);
  if (reading.kind === 'unusable') throw new Error(reading.problem);
  const refusals = new RefusalLog({ logger: silentLogger(), clock });
  return credentialsOf(new MutualTls({ material: () => reading.material, clock, refusals }));
}

/** A daemon's port of frames whose pages are in memory. */
async function serve(files: MaterialFiles | undefined): Promise<number> {
  const pages = Array.from({ length: 64 }, (_, at) => Buffer.alloc(PAGE_BYTES, at));
  const { port } = await listenFrames(
    '127.0.0.1:0',
    {
      append: nothing,
      follow: nothing,
      renewLease: () => Promise.reject(new Error('there is no lease')),
      getPages: ({ keys }) => Promise.resolve({ present: Buffer.alloc(keys.length, 1), pages: pages.slice(0, keys.length) }),
    },
    {
      clock,
      credentials: files === undefined ? PLAIN_TEXT : credentials(files),
      onTurnedAway: nothing,
      onRefused: nothing,
      ...(values.lanes === 'yes' ? { lanes: await AppendLanes.load(undefined, clock) } : {}),
    },
  );
  return port;
}

interface Outcome {
  readonly requestsPerSecond: number;
  readonly p50us: number;
  readonly clientUs: number;
  readonly serverUs: number;
}

/** Asks for `count` pages at a time with `depth` requests under way. */
async function measure(client: SegmentClient, server: number, count: number, depth: number): Promise<Outcome> {
  const request: GetPagesRequest = {
    segment: { volumeId: 'd1b4f9c8-3b6e-4a63-9d8e-0d6f5f7a1f11', pg: 0 },
    epoch: 1n,
    lsn: 9n,
    keys: Array.from({ length: count }, () => Buffer.alloc(17)),
  };
  const run = async (seconds: number): Promise<number[]> => {
    const until = performance.now() + seconds * 1000;
    const took: number[] = [];
    const one = async (): Promise<void> => {
      while (performance.now() < until) {
        const startedAt = performance.now();
        const { pages } = await client.getPages(request, { deadlineMs: 10_000 });
        if (pages.length === 0) throw new Error('no pages');
        took.push((performance.now() - startedAt) * 1000);
      }
    };
    await Promise.all(Array.from({ length: depth }, one));
    return took;
  };
  await run(Number(values.warmup));
  const before = { client: process.cpuUsage(), server: cpuSeconds(server) };
  const startedAt = performance.now();
  const took = await run(Number(values.seconds));
  const seconds = (performance.now() - startedAt) / 1000;
  const { user, system } = process.cpuUsage(before.client);
  const pages = took.length * count;
  return {
    requestsPerSecond: took.length / seconds,
    p50us: quantile(took, 0.5),
    clientUs: (user + system) / pages,
    serverUs: ((cpuSeconds(server) - before.server) * 1e6) / pages,
  };
}

async function main(): Promise<void> {
  const authority = await newAuthority();
  const files = { storage: await filesOf({ authority, role: 'storage' }), compute: await filesOf({ authority, role: 'compute' }) };
  const rows: string[][] = [];
  for (let round = 0; round < Number(values.runs); round++) {
    for (const isTls of [true, false]) {
      const server = fork(fileURLToPath(import.meta.url), [...process.argv.slice(2), '--serve']);
      server.send(isTls ? files.storage : {});
      const [port] = (await once(server, 'message')) as [number];
      const frames = `127.0.0.1:${port}`;
      const client = new SegmentClient({ address: frames, framesAddress: frames }, clock, isTls ? credentials(files.compute) : PLAIN_TEXT);
      for (const [count, depth] of [
        [1, 1],
        [64, 4],
      ] as const) {
        const { requestsPerSecond, p50us, clientUs, serverUs } = await measure(client, server.pid ?? 0, count, depth);
        const row = [isTls ? 'TLS' : 'plain', `${count} × ${depth}`, ...[requestsPerSecond * count, p50us].map((value) => shown(value, 0))];
        rows.push([...row, ...[clientUs, serverUs].map((value) => shown(value, 1))]);
        print(rows.at(-1)?.join('  ') ?? '');
      }
      client.close();
      server.kill();
    }
  }
  print(`\n${machineLoad()}\n`);
  print(markdownTable(['', 'pages × under way', 'pages/s', 'round trip p50, µs', 'CPU µs a page: client', 'server'], rows));
}

letHeapGrow(200);
if (values.serve) {
  compileEarly();
  process.once('message', (files: Partial<MaterialFiles>) => {
    void serve(files.certificate === undefined ? undefined : (files as MaterialFiles)).then((port) => process.send?.(port));
  });
} else if (process.env['MALLOC_ARENA_MAX'] === undefined) {
  // As our programs run.
  fork(fileURLToPath(import.meta.url), process.argv.slice(2), { env: { ...process.env, ...MEMORY_ENVIRONMENT } });
} else await main();
