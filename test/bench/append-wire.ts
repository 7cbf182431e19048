/**
 * `node test/bench/append-wire.ts --seconds 5 --runs 3 --bytes 700`: what a batch costs. One client sends each batch to
 * four processes that write and fdatasync it and acknowledge, and sends the next when all four have: over a bare socket
 * with nothing but lengths, in C (`native`, append-native.c) and in Node (`bare`; `pooled` has the pool's threads wait for the disk), and through our frames. `ours` is the programs themselves: six real daemons, the compute's
 * write path, the next batch when the quorum holds it. In turns; CPU is the figure, times belong to the machine.
 */
import { execFileSync, fork, spawn, type ChildProcess } from 'node:child_process';
import { closeSync, constants, fdatasync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { systemClock } from '@kube-aurora/clock';
import { AuroraRpcError, encodeAppendRequest, listenFrames, PLAIN_TEXT, SegmentClient } from '@kube-aurora/rpc';
import { openVolume, serveDaemon, type DaemonPorts } from './append-ours.ts';
import { machineLoad } from './process-usage.ts';
import { markdownTable, print } from './table.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    runs: { type: 'string', default: '3' },
    warmup: { type: 'string', default: '1.5' },
    bytes: { type: 'string', default: '700' },
    kinds: { type: 'string', default: 'native,bare,frames,ours' },
    serve: { type: 'string' },
    file: { type: 'string', default: '' },
    index: { type: 'string', default: '0' },
  },
});

/** Of the wire alone: so many are sent a batch at once. */
const COPIES = 4;
const DAEMONS = 6;
const LOG_BYTES = 64 * 1024 * 1024;
const VOLUME = '0b0a6f0e-3f4e-4d53-8a6e-5c1b2f9d7a10';
const ACKNOWLEDGEMENT_BYTES = 24;
/** The append loop in C, which main compiles into the benchmark's directory. */
const NATIVE = 'native';
/** As `bare`, with the disk waited for by the thread pool. */
const POOLED = 'pooled';

/** Writes a batch durably, and then calls `stored`. */
type Store = (batch: Buffer, stored: () => void) => void;

/** Into a preallocated file; the disk is waited for on this thread, or on one of the pool's. */
function logTo(file: string, isPooled: boolean): Store {
  const descriptor = openSync(file, constants.O_RDWR | constants.O_CREAT);
  writeSync(descriptor, Buffer.alloc(LOG_BYTES));
  fdatasyncSync(descriptor);
  let at = 0;
  process.on('exit', () => closeSync(descriptor));
  return (batch, stored) => {
    if (at + batch.length > LOG_BYTES) at = 0;
    writeSync(descriptor, batch, 0, batch.length, at);
    at += batch.length;
    if (isPooled) {
      fdatasync(descriptor, (error) => {
        if (error !== null) throw error;
        stored();
      });
      return;
    }
    fdatasyncSync(descriptor);
    stored();
  };
}

type Serve = (store: Store) => Promise<number>;

const SERVERS: Readonly<Record<string, Serve>> = {
  async frames(store) {
    const nothing = (): void => undefined;
    const listener = await listenFrames(
      '127.0.0.1:0',
      {
        append: (call) => {
          let scl = 0n;
          call.on('data', ({ batches }) => {
            const answer = (): void => void call.write({ scl, result: 'OK', epoch: 1n, message: '', followed: false });
            if (batches === undefined) answer();
            else {
              store(batches, () => {
                scl++;
                answer();
              });
            }
          });
        },
        follow: nothing,
        getPages: () => Promise.reject(new AuroraRpcError('NOT_READY', 'has no pages')),
        renewLease: () => Promise.reject(new AuroraRpcError('NOT_READY', 'grants nothing')),
      },
      { clock: systemClock(), onTurnedAway: nothing, onRefused: nothing },
    );
    return listener.port;
  },
  bare(store) {
    const server = createServer({ noDelay: true }, (socket) => {
      let rest: Buffer = Buffer.alloc(0);
      socket.on('data', (chunk: Buffer) => {
        const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
        let at = 0;
        for (; bytes.length - at >= 4; at += 4 + bytes.readUInt32LE(at)) {
          const end = at + 4 + bytes.readUInt32LE(at);
          if (end > bytes.length) break;
          store(bytes.subarray(at + 4, end), () => socket.write(Buffer.alloc(ACKNOWLEDGEMENT_BYTES)));
        }
        rest = bytes.subarray(at);
      });
    });
    return new Promise((resolve) => {
      server.listen(0, '127.0.0.1', () => {
        const address = server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
  },
};

/** Sends a batch; `acknowledged` is called for each that came back. */
type Open = (port: number, acknowledged: () => void) => Promise<{ send: (batch: Buffer) => void; close: () => void }>;

async function openBare(port: number, acknowledged: () => void): ReturnType<Open> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await new Promise((resolve) => socket.once('connect', resolve));
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    for (bytes += chunk.length; bytes >= ACKNOWLEDGEMENT_BYTES; bytes -= ACKNOWLEDGEMENT_BYTES) acknowledged();
  });
  return {
    send: (batch) => {
      const out = Buffer.allocUnsafe(4 + batch.length);
      out.writeUInt32LE(batch.length, 0);
      batch.copy(out, 4);
      socket.write(out);
    },
    close: () => socket.destroy(),
  };
}

const CLIENTS: Readonly<Record<string, Open>> = {
  async frames(port, acknowledged) {
    const client = new SegmentClient({ address: '127.0.0.1:1', framesAddress: `127.0.0.1:${port}` }, systemClock(), PLAIN_TEXT);
    const stream = client.append();
    await new Promise<void>((resolve, reject) => {
      let isOpen = false;
      stream.on('error', reject);
      stream.on('data', () => {
        if (isOpen) acknowledged();
        else resolve();
        isOpen = true;
      });
      const hello = { segment: { volumeId: VOLUME, pg: 0 }, epoch: 1n, writerId: 'bench', history: [], role: 'FULL' as const };
      stream.write({ hello, batches: undefined, vdl: 0n, pgmrpl: 0n });
    });
    return { send: (batch) => void stream.write(batch), close: () => client.close() };
  },
  bare: openBare,
  // They take and answer the same bytes.
  [NATIVE]: openBare,
  [POOLED]: openBare,
};

const microseconds = ({ user, system }: NodeJS.CpuUsage): number => user + system;

/** This process does nothing then but pass on what the program says of itself; that ends with it. */
async function serveNative(file: string): Promise<void> {
  const program = spawn(join(dirname(file), NATIVE), [file], { stdio: ['pipe', 'pipe', 'inherit'] });
  process.on('message', () => program.stdin.write('cpu\n'));
  for await (const line of createInterface(program.stdout)) process.send?.(JSON.parse(line));
}

async function serve(kind: string, file: string): Promise<void> {
  if (kind === NATIVE) {
    await serveNative(file);
    return;
  }
  const server = SERVERS[kind === POOLED ? 'bare' : kind];
  if (server === undefined && kind !== 'ours')
    throw new Error(`there is no kind '${kind}'; ${Object.keys(SERVERS).join(', ')}, ${POOLED}, ${NATIVE}, ours`);
  const ports: DaemonPorts =
    server === undefined
      ? await serveDaemon(file, Number(values.index))
      : { port: 0, framesPort: await server(logTo(file, kind === POOLED)) };
  process.on('message', () => process.send?.({ microseconds: microseconds(process.cpuUsage()) }));
  process.send?.(ports);
}

function heardOf<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve) => child.once('message', (message) => resolve(message as T)));
}

async function cpuOf(children: readonly ChildProcess[]): Promise<number> {
  const answers = children.map((child) => heardOf<{ microseconds: number }>(child));
  for (const child of children) child.send('cpu');
  return (await Promise.all(answers)).reduce((sum, answer) => sum + answer.microseconds, 0);
}

interface Run {
  readonly daemonUs: number;
  readonly clientUs: number;
  readonly perSecond: number;
  readonly p50Ms: number;
}

/** Sends a batch and resolves when all that must have it do. */
interface Writer {
  round(): Promise<void>;
  close(): void;
}

async function openCopies(open: Open, ports: readonly DaemonPorts[]): Promise<Writer> {
  let missing = 0;
  let resolve: () => void = () => undefined;
  const acknowledged = (): void => {
    missing--;
    if (missing === 0) resolve();
  };
  const sinks = await Promise.all(ports.map(({ framesPort }) => open(framesPort, acknowledged)));
  const batch = encodeAppendRequest([Buffer.alloc(Number(values.bytes), 7)], 1n, 1n);
  return {
    round() {
      const done = new Promise<void>((settle) => (resolve = settle));
      missing = COPIES;
      for (const sink of sinks) sink.send(batch);
      return done;
    },
    close() {
      for (const sink of sinks) sink.close();
    },
  };
}

async function run(kind: string, directory: string): Promise<Run> {
  const open = CLIENTS[kind];
  const children = Array.from({ length: open === undefined ? DAEMONS : COPIES }, (_, index) =>
    fork(import.meta.filename, [
      '--serve',
      kind,
      '--file',
      open === undefined ? directory : join(directory, `log-${index}`),
      '--index',
      `${index}`,
    ]),
  );
  try {
    const ports = await Promise.all(children.map((child) => heardOf<DaemonPorts>(child)));
    const writer = open === undefined ? await openVolume(ports, Number(values.bytes)) : await openCopies(open, ports);
    for (const end = performance.now() + Number(values.warmup) * 1000; performance.now() < end;) await writer.round();
    const [before, own, start] = [await cpuOf(children), process.cpuUsage(), performance.now()];
    const times: number[] = [];
    for (const end = start + Number(values.seconds) * 1000; performance.now() < end;) {
      const at = performance.now();
      await writer.round();
      times.push(performance.now() - at);
    }
    const seconds = (performance.now() - start) / 1000;
    const clientUs = microseconds(process.cpuUsage(own)) / times.length;
    const daemonUs = ((await cpuOf(children)) - before) / times.length / children.length;
    writer.close();
    return { daemonUs, clientUs, perSecond: times.length / seconds, p50Ms: times.sort((a, b) => a - b)[times.length >> 1] ?? 0 };
  } finally {
    for (const child of children) child.kill('SIGKILL');
  }
}

async function main(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'append-wire-'));
  try {
    const kinds = values.kinds.split(',');
    const source = join(import.meta.dirname, 'append-native.c');
    if (kinds.includes(NATIVE))
      execFileSync('cc', ['-std=gnu17', '-O2', '-Wall', '-Wextra', '-msse4.2', '-o', join(directory, NATIVE), source]);
    const runs = new Map<string, Run[]>(kinds.map((kind) => [kind, []]));
    for (let index = 0; index < Number(values.runs); index++) for (const kind of kinds) runs.get(kind)?.push(await run(kind, directory));
    const figures = (of: readonly Run[], pick: (one: Run) => number, digits = 0): string =>
      of
        .map(pick)
        .sort((a, b) => a - b)
        .map((figure) => figure.toFixed(digits))
        .join(' · ');
    const rows = [...runs].map(([kind, of]) => [
      kind,
      figures(of, ({ daemonUs }) => daemonUs),
      figures(of, ({ clientUs }) => clientUs),
      figures(of, ({ perSecond }) => perSecond),
      figures(of, ({ p50Ms }) => p50Ms, 2),
    ]);
    print(
      `A batch of ${values.bytes} bytes, after ${values.warmup} s of warm-up ${values.seconds} s, each of ${values.runs} runs in order of size; load ${machineLoad()}`,
    );
    print(markdownTable(['', 'daemon, µs of CPU', 'client, µs of CPU', 'quorum writes/s', 'p50, ms'], rows));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

await (values.serve === undefined ? main() : serve(values.serve, values.file));
