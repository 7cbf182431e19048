import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { systemClock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { expect, test } from 'vitest';
import { clientConnections } from './client-connections.ts';
import { LoadMeter } from './load-meter.ts';
import { cpuSecondsOfTree } from './process-cpu.ts';

test('connections to a port of an address are counted, and to no other', async () => {
  const server = createServer().listen(0, '127.0.0.9');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const open = [];
  expect(await clientConnections([{ host: '127.0.0.9', port }])).toBe(0);
  for (let count = 1; count <= 3; count++) {
    const accepted = once(server, 'connection');
    const socket = connect(port, '127.0.0.9');
    await Promise.all([once(socket, 'connect'), accepted]);
    open.push(socket);
    expect(await clientConnections([{ host: '127.0.0.9', port }])).toBe(count);
  }
  expect(await clientConnections([{ host: '127.0.0.8', port }])).toBe(0);
  expect(await clientConnections([{ host: '0.0.0.0', port }])).toBe(3);
  for (const socket of open) socket.destroy();
  server.close();
});

test("the kernel's table is read as it writes it, however long it is", async () => {
  const others = Array.from(
    { length: 5000 },
    (_, n) => `${n}: 0500007F:1538 0100007F:${n.toString(16).toUpperCase().padStart(4, '0')} 06 00000000:00000000`,
  );
  const table = [
    '  sl  local_address rem_address   st tx_queue rx_queue',
    '   0: 0500007F:1538 0100007F:C350 01 00000000:00000000',
    '   1: 0500007F:1538 00000000:0000 0A 00000000:00000000',
    ...others,
    '   2: 0600007F:1538 0100007F:C351 01 00000000:00000000',
    '   3: 0000000000000000FFFF00000500007F:1538 0000000000000000FFFF00000100007F:C352 01 00000000:00000000',
    '   4: 0500007F:1539 0500007F:1538 01 00000000:00000000',
    '',
  ].join('\n');
  const proc = mkdtempSync(path.join(tmpdir(), 'ka-proc-'));
  mkdirSync(path.join(proc, 'net'));
  writeFileSync(path.join(proc, 'net/tcp'), table);
  expect(await clientConnections([{ host: '127.0.0.5', port: 5432 }], proc)).toBe(2);
  expect(await clientConnections([{ host: '0.0.0.0', port: 5432 }], proc)).toBe(3);
  const both = [5432, 5433].map((port) => ({ host: '127.0.0.5', port }));
  expect(await clientConnections(both, proc)).toBe(3);
  writeFileSync(path.join(proc, 'net/tcp'), '');
  expect(await clientConnections(both, proc)).toBe(0);
  // Whoever listens by IPv4 has nobody in the other table.
  writeFileSync(path.join(proc, 'net/tcp6'), table);
  expect(await clientConnections([{ host: '0.0.0.0', port: 5432 }], proc)).toBe(0);
  expect(await clientConnections([{ host: '::', port: 5432 }], proc)).toBe(3);
  rmSync(proc, { recursive: true });
});

test('CPU of the processes below counts, also of those that have ended', async () => {
  const before = cpuSecondsOfTree(process.pid);
  const busy = spawn('sh', ['-c', "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; exec cat"]);
  busy.stdout.on('data', () => undefined);
  // The loop is over once cat answers.
  busy.stdin.write('x');
  await once(busy.stdout, 'data');
  const taken = cpuSecondsOfTree(busy.pid ?? 0);
  expect(taken).toBeGreaterThan(0.02);
  expect(cpuSecondsOfTree(process.pid)).toBeGreaterThanOrEqual(before + taken - 0.01);
  busy.kill();
  await once(busy, 'exit');
  expect(cpuSecondsOfTree(process.pid)).toBeGreaterThanOrEqual(before + taken - 0.01);
  expect(cpuSecondsOfTree(busy.pid ?? 0)).toBe(0);
});

test('the load is what was taken on average in the last half minute, and unknown before the second look', async () => {
  let now = 0;
  let cpuSeconds = 100;
  let look: () => void = () => undefined;
  const clock = {
    ...systemClock(),
    now: () => now,
    after: (ms: number, work: () => void) => {
      if (ms === 5000) look = work;
      return { cancel: () => undefined };
    },
  };
  const meter = new LoadMeter({
    connections: () => Promise.resolve(7),
    cpuSeconds: () => cpuSeconds,
    cpus: 2,
    clock,
    logger: silentLogger(),
  });
  await Promise.resolve();
  expect(meter.load()).toBeUndefined();
  const pass = (seconds: number, taken: number): void => {
    now += seconds * 1000;
    cpuSeconds += taken;
    look();
  };
  pass(5, 2.5);
  expect(meter.load()).toEqual({ connections: 7, cpuMillicores: 500, cpus: 2 });
  for (let looks = 0; looks < 6; looks++) pass(5, 0);
  expect(meter.load()?.cpuMillicores).toBe(0);
  // A process that ended out of sight took its time with it.
  pass(5, -50);
  expect(meter.load()?.cpuMillicores).toBe(0);
});

test.each([
  [1, 1000],
  [10, 2000],
  [400, 5000],
])('a count of connections that takes %i ms is made again after %i', async (tookMs, restMs) => {
  let now = 0;
  const rests: number[] = [];
  const clock = { ...systemClock(), now: () => now, after: (ms: number) => (rests.push(ms), { cancel: () => undefined }) };
  const connections = (): Promise<number> => {
    now += tookMs;
    return Promise.resolve(7);
  };
  const meter = new LoadMeter({ connections, cpuSeconds: () => 0, cpus: 2, clock, logger: silentLogger() });
  await Promise.resolve();
  meter.stop();
  expect(rests.at(-1)).toBe(restMs);
});
