import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '@kube-aurora/clock';
import { createLogger } from '@kube-aurora/process';
import { testPki } from '../tls/fixture-pki.ts';
import { CERTIFICATE_FILE, KEY_FILE } from '../tls/server-tls.ts';
import { TokenPortThread } from './token-port-thread.ts';

const LOGIN = { namespace: 'default', serviceAccount: 'shop', role: 'app', allowSuperuser: false };

let dir: string;
let thread: TokenPortThread | undefined;
let changes = 0;
const write = (name: string, text: string): void => writeFileSync(join(dir, name), text);
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ka-token-port-'));
});
afterEach(async () => {
  await thread?.stop();
  rmSync(dir, { recursive: true });
});

test('the status says whether it listens, since when, and what is in the way of logins', async () => {
  const host = `127.${randomInt(64, 250)}.${randomInt(1, 250)}.1`;
  const other = createServer().listen(0, host);
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  thread = new TokenPortThread({
    places: {
      host,
      port,
      writerPort: undefined,
      postgresPort: 5432,
      settingsDir: dir,
      reviewDir: dir,
      runDir: dir,
      clientSocketDir: dir,
    },
    program: new URL('fixture-thread.ts', import.meta.url),
    onLogin: () => undefined,
    onChange: () => void changes++,
    clock: systemClock(),
    logger: createLogger('test', { level: 'silent' }),
  });
  const status = (): unknown => thread?.status;
  void thread.run();
  expect(status()).toMatchObject({ state: 'closed', message: '', since: expect.stringMatching(/Z$/) });
  write('logins.json', JSON.stringify({ audience: 'kube-aurora/default/demo', logins: [LOGIN] }));
  await expect.poll(status).toMatchObject({ state: 'failed', message: expect.stringContaining('EADDRINUSE') });
  other.close();
  await expect.poll(status).toMatchObject({ state: 'listening', message: expect.stringContaining('no certificate') });
  const { pair } = await testPki([host]);
  write(CERTIFICATE_FILE, pair.certificate);
  write(KEY_FILE, pair.key);
  await expect.poll(status).toMatchObject({ state: 'listening', message: expect.stringContaining('Secret NAME-token-review') });
  write('server', 'https://127.0.0.1:1');
  write('token', 't');
  await expect.poll(status).toMatchObject({ state: 'listening', message: '' });
  write('logins.json', '{}');
  await expect.poll(status).toMatchObject({ state: 'listening', message: "logins.json has no 'audience'" });
  rmSync(join(dir, 'logins.json'));
  await expect.poll(status).toMatchObject({ state: 'closed', message: '' });
  expect(changes, 'whoever waits for a change of the status hears of each').toBeGreaterThanOrEqual(7);
}, 120_000);
