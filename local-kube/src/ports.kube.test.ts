import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';

const MAIN = path.join(import.meta.dirname, 'main.ts');
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** Runs the program until it is ready or ends; gives all that it printed. */
async function run(ports: string): Promise<string> {
  const directory = mkdtempSync(path.join(tmpdir(), 'ka Ünï '));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));
  const child = spawn(process.execPath, [MAIN], {
    env: { ...process.env, LOCAL_KUBE_DATA_DIR: directory, LOCAL_KUBE_PORT: ports, NODE_NO_WARNINGS: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  cleanups.push(async () => {
    child.kill('SIGTERM');
    await exited;
  });
  let printed = '';
  const ready = new Promise<void>((resolve) => {
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => {
        printed += chunk.toString();
        if (printed.includes('"msg":"ready"')) resolve();
      });
  });
  await Promise.race([ready, exited]);
  return printed;
}

async function takenPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

test('of several ports the first that is free is taken', async () => {
  const taken = await takenPort();
  const printed = await run(`${taken},0`);
  expect(printed).toMatch(/"url":"https:\/\/127\.0\.0\.1:\d+"/);
  expect(printed).not.toContain(`127.0.0.1:${taken}"`);
});

test('a port that is taken, and what is no port, are told by name', async () => {
  const taken = await takenPort();
  expect(await run(String(taken))).toContain(`--port (LOCAL_KUBE_PORT): ${taken} on 127.0.0.1 is taken`);
  expect(await run('6443,many')).toContain("must be whole numbers from 0 to 65535 with commas between, not '6443,many'");
});
