/**
 * `npm run faults:ports -- --seconds 300 --seed 1`: a whole system as `npm start` makes it, under a ledger's load, while strangers connect to
 * every port that it listens on and send what nobody should: noise, and each protocol a little wrong, in plain text and behind TLS, as nobody, as
 * another cluster's programs and as this one's own. No process may end or grow, no pod restart, commits must go on, and the ledger must add up.
 * Prints a table by port, and one by whom the strangers came as.
 */
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { residentMib, tree } from '../bench/process-usage.ts';
import { markdownTable, print, shown } from '../bench/table.ts';
import { connectTo, Ledger } from './ledger.ts';
import { guisesOf, type Guise } from './ports/guises.ts';
import { listeningPorts, openFiles, type ListeningPort } from './ports/listening-ports.ts';
import { strangeBytes, type StrangeBytes } from './ports/port-bytes.ts';
import { printVerdict } from './print-verdict.ts';
import { SeededRandom } from './random.ts';
import { StartedSystem } from './started-system.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '300' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000)) },
    clients: { type: 'string', default: '2' },
  },
});

/**
 * At once, on one port, and how long each waits before it comes again. Few: what bytes do is looked for, and not how many connections a second
 * two cores bear, of which a thousand let a writer's lease run out.
 */
const STRANGERS = 2;
const BETWEEN_MS = 150;
/** What a stranger waits between two pieces, and for an answer to the last. */
const PIECE_MS = 20;
const ANSWER_MS = 100;
const HANDSHAKE_MS = 2000;
/** Of all who come; a handshake costs both ends a millisecond or two. */
const BEHIND_TLS = 0.6;
/**
 * So long may nobody's commit come through: a lease that ran out and a writer that opened again are within it, on two cores that have much else to
 * do. What stands still stands for longer.
 */
const GAP_MS = 30_000;
/** What a process may have more than before, once strangers have gone and it has rested. Node's heap breathes by tens of MiB. */
const GROWN_MIB = 96;
const GROWN_FILES = 24;
const WARM_MS = 20_000;
const REST_MS = 15_000;

const PROGRAMS: readonly (readonly [part: string, name: string])[] = [
  ['storage-daemon/src/main.ts', 'storage daemon'],
  ['compute-node/src/main.ts', 'compute agent'],
  ['operator/src/main.ts', 'operator'],
  ['console/src/main.ts', 'console'],
  ['/bin/postgres', 'PostgreSQL'],
];

function nameOf(pid: number): string {
  const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  return PROGRAMS.find(([part]) => command.includes(part))?.[1] ?? 'local-kube';
}

interface Sent {
  connections: number;
  bytes: number;
  refused: number;
  answered: number;
}

/** One stranger's connection, from its first byte until either end has had enough. Never throws: a refusal is an answer. */
function send(socket: Socket, { pieces }: StrangeBytes, counts: readonly Sent[]): Promise<void> {
  const count = (change: (sent: Sent) => void): void => counts.forEach(change);
  return new Promise((resolve) => {
    let isAnswered = false;
    // A handshake's records are no answer: behind TLS these are bytes that came through it.
    socket.on('data', () => (isAnswered = true));
    socket.on('error', () => count((sent) => sent.refused++));
    socket.on('close', () => {
      count((sent) => {
        sent.connections++;
        if (isAnswered) sent.answered++;
      });
      resolve();
    });
    const write = async (): Promise<void> => {
      for (const piece of pieces) {
        if (socket.destroyed) return;
        socket.write(piece);
        count((sent) => (sent.bytes += piece.length));
        await delay(PIECE_MS);
      }
      await delay(ANSWER_MS);
      socket.destroy();
    };
    // A port that takes no TLS leaves a handshake unanswered for as long as it likes.
    const late = setTimeout(() => socket.destroy(), HANDSHAKE_MS);
    socket.on('close', () => clearTimeout(late));
    socket.on('encrypted' in socket ? 'secureConnect' : 'connect', () => {
      clearTimeout(late);
      void write();
    });
  });
}

const NOTHING_SENT = (): Sent => ({ connections: 0, bytes: 0, refused: 0, answered: 0 });

interface Strangers {
  readonly as: ReadonlyMap<Guise, Sent>;
  readonly volumeId: string;
  readonly seed: number;
  readonly until: number;
}

async function strangersAt(target: ListeningPort, { as, volumeId, seed, until }: Strangers): Promise<Sent> {
  const sent = NOTHING_SENT();
  const guises = [...as];
  const [plain] = guises;
  const stranger = async (number: number): Promise<void> => {
    const random = new SeededRandom(seed * 1000 + number);
    while (performance.now() < until) {
      const [guise, ofGuise] = plain === undefined || random.next() < BEHIND_TLS ? random.pick(guises) : plain;
      await send(guise.connect(target, random), strangeBytes(random, volumeId), [sent, ofGuise]);
      await delay(BETWEEN_MS);
    }
  };
  await Promise.all(Array.from({ length: STRANGERS }, (_, number) => stranger(number)));
  return sent;
}

interface Usage {
  readonly mib: number;
  readonly files: number;
}

const usageOf = (pid: number): Usage => ({ mib: residentMib(pid), files: openFiles(pid).length });

function restarts(system: StartedSystem): string {
  return system
    .run(
      'kubectl',
      'get',
      'pods',
      '-A',
      '-o',
      'jsonpath={range .items[*]}{.metadata.name}={.status.containerStatuses[0].restartCount} {end}',
    )
    .trim();
}

const seed = Number(values.seed);
print(`seed ${seed}`);
const system = await StartedSystem.start();
try {
  const ledger = new Ledger(() => connectTo(system.service, 20_000));
  await ledger.create();
  ledger.start(Number(values.clients));
  // Opens the ports where tokens are passwords.
  const spec = { postgresql: { logins: [{ serviceAccount: 'default', role: 'app' }] } };
  system.run('kubectl', 'patch', 'ac', 'demo', '--type=merge', '-p', JSON.stringify({ spec }));
  const guises = await guisesOf((role) => {
    const { data } = JSON.parse(system.run('kubectl', 'get', 'secret', `demo-${role}-tls`, '-o', 'json')) as {
      data: Record<string, string>;
    };
    const [certificate = '', key = ''] = ['tls.crt', 'tls.key'].map((name) => Buffer.from(data[name] ?? '', 'base64').toString('utf8'));
    return { certificate, key };
  });
  const volumeId = system.run('kubectl', 'get', 'ac', 'demo', '-o', 'jsonpath={.status.volumeId}').trim();
  const byGuise = new Map(guises.map((guise) => [guise, NOTHING_SENT()]));
  // What compiles and what fills its caches does so before it is measured.
  await delay(WARM_MS);
  const own = process.pid;
  const targets = listeningPorts(own).filter(({ pid }) => pid !== own);
  const before = new Map(targets.map(({ pid }) => [pid, usageOf(pid)]));
  const restartsBefore = restarts(system);
  const until = performance.now() + Number(values.seconds) * 1000;
  const sent = await Promise.all(
    targets.map((target, number) => strangersAt(target, { as: byGuise, volumeId, seed: seed + number, until })),
  );
  await delay(REST_MS);
  await ledger.stop();

  const troubles: string[] = [];
  const living = new Set(tree(own));
  const rows = targets.map((target, number) => {
    const was = before.get(target.pid) ?? { mib: 0, files: 0 };
    const at = `${target.host}:${target.port}`;
    const of = sent[number] ?? NOTHING_SENT();
    if (!living.has(target.pid)) {
      troubles.push(`${at}: process ${target.pid} has ended`);
      return ['gone', at, shown(of.connections), shown(of.answered), shown(of.bytes / 1024), `${shown(was.mib)} → gone`, ''];
    }
    const is = usageOf(target.pid);
    const name = nameOf(target.pid);
    if (is.mib > was.mib + GROWN_MIB) troubles.push(`${name} ${at}: grew from ${shown(was.mib)} to ${shown(is.mib)} MiB`);
    if (is.files > was.files + GROWN_FILES) troubles.push(`${name} ${at}: ${was.files} open files became ${is.files}`);
    const usage = [`${shown(was.mib)} → ${shown(is.mib)}`, `${was.files} → ${is.files}`];
    return [name, at, shown(of.connections), shown(of.answered), shown(of.bytes / 1024), ...usage];
  });
  print('');
  print(markdownTable(['who', 'port', 'connections', 'answered', 'KiB sent', 'MiB resident', 'open files'], rows));
  print('');
  const guiseRows = [...byGuise].map(([{ name }, of]) => [name, shown(of.connections), shown(of.answered), shown(of.bytes / 1024)]);
  print(markdownTable(['as', 'connections', 'answered', 'KiB sent'], guiseRows));
  print('');
  const restartsAfter = restarts(system);
  if (restartsAfter !== restartsBefore) troubles.push(`containers were restarted: ${restartsBefore} became ${restartsAfter}`);
  const verdict = await ledger.verify();
  if (verdict.longestGapMs > GAP_MS) troubles.push(`nobody's commit came through for ${verdict.longestGapMs} ms`);
  print(`the longest time without a commit: ${verdict.longestGapMs} ms`);
  for (const trouble of troubles) print(`TROUBLE: ${trouble}`);
  if (troubles.length === 0) print('nothing ended, restarted or grew');
  const addsUp = printVerdict(verdict);
  if (!addsUp || troubles.length > 0) {
    print(`again with: npm run faults:ports -- --seed ${seed} --seconds ${values.seconds}`);
    process.exitCode = 1;
  }
} finally {
  await system.stop();
}
