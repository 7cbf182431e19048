import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { systemClock } from '@kube-aurora/clock';
import { expect, test } from 'vitest';
import { clientConnections, countOpen } from './client-connections.ts';
import { LoadMeter } from './load-meter.ts';
import { cpuSecondsOfTree } from './process-cpu.ts';

test('connections to a port of an address are counted, and to no other', async () => {
  const server = createServer().listen(0, '127.0.0.9');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const open = [];
  expect(clientConnections({ host: '127.0.0.9', port })).toBe(0);
  for (let count = 1; count <= 3; count++) {
    const accepted = once(server, 'connection');
    const socket = connect(port, '127.0.0.9');
    await Promise.all([once(socket, 'connect'), accepted]);
    open.push(socket);
    expect(clientConnections({ host: '127.0.0.9', port })).toBe(count);
  }
  expect(clientConnections({ host: '127.0.0.8', port })).toBe(0);
  expect(clientConnections({ host: '0.0.0.0', port })).toBe(3);
  for (const socket of open) socket.destroy();
  server.close();
});

test("the kernel's table is read as it writes it", () => {
  const table = [
    '  sl  local_address rem_address   st tx_queue rx_queue',
    '   0: 0500007F:1538 0100007F:C350 01 00000000:00000000',
    '   1: 0500007F:1538 00000000:0000 0A 00000000:00000000',
    '   2: 0600007F:1538 0100007F:C351 01 00000000:00000000',
    '   3: 0000000000000000FFFF00000500007F:1538 0000000000000000FFFF00000100007F:C352 01 00000000:00000000',
    '   4: 0500007F:1539 0100007F:C353 01 00000000:00000000',
    '',
  ].join('\n');
  expect(countOpen(table, '127.0.0.5', 5432)).toBe(2);
  expect(countOpen(table, '0.0.0.0', 5432)).toBe(3);
  expect(countOpen('', '127.0.0.5', 5432)).toBe(0);
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

test('the load is what was taken on average in the last half minute, and unknown before the second look', () => {
  let now = 0;
  let cpuSeconds = 100;
  let look: () => void = () => undefined;
  const clock = {
    ...systemClock(),
    now: () => now,
    after: (_ms: number, work: () => void) => ((look = work), { cancel: () => undefined }),
  };
  const meter = new LoadMeter({ connections: () => 7, cpuSeconds: () => cpuSeconds, cpus: 2, clock });
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
