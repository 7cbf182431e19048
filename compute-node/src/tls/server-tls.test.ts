import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { systemClock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import type { TrialVerdict } from '../settings/settings-trial.ts';
import { testPki } from './fixture-pki.ts';
import type { KeyPair } from './key-pair.ts';
import { ServerTls } from './server-tls.ts';

let pairs: readonly KeyPair[];
let directory: string;
let runDir: string;
let verdict: TrialVerdict;
let tried: Readonly<Record<string, string>>[];
let tls: ServerTls;

beforeAll(async () => {
  pairs = (await Promise.all([testPki(['127.0.0.1']), testPki(['127.0.0.1'])])).map(({ pair }) => pair);
});
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tls-mounted-'));
  runDir = mkdtempSync(join(tmpdir(), 'tls-run-'));
  verdict = { kind: 'passed' };
  tried = [];
  tls = serverTls();
});
afterEach(() => {
  for (const dir of [directory, runDir]) rmSync(dir, { recursive: true });
});

function serverTls(clientCaFile?: string): ServerTls {
  const trial = (settings: Readonly<Record<string, string>>): Promise<TrialVerdict> => {
    tried.push(settings);
    return Promise.resolve(verdict);
  };
  return new ServerTls({ directory, clientCaFile, runDir, account: undefined, trial, clock: systemClock(), logger: silentLogger() });
}

function mount(pair: Partial<KeyPair>): void {
  for (const [name, text] of [
    ['tls.crt', pair.certificate],
    ['tls.key', pair.key],
    ['ca.crt', pair.clientCa],
  ] as const) {
    rmSync(join(directory, name), { force: true });
    if (text !== undefined) writeFileSync(join(directory, name), text);
  }
}

const shown = (): string => readFileSync(join(runDir, 'server.crt'), 'utf8');
const [first, second] = [(): KeyPair => pairs[0] as KeyPair, (): KeyPair => pairs[1] as KeyPair];

test('without a certificate PostgreSQL speaks no TLS, and the status says why; it takes one as soon as there is one', async () => {
  await tls.look();
  expect([tls.settings, tls.status]).toEqual([{}, { state: 'plain', message: 'there is no tls.crt' }]);
  mount(first());
  await tls.look();
  expect(tls.status).toEqual({ state: 'tls', notAfter: first().notAfter, message: '' });
  expect(tls.settings).toEqual({
    ssl: 'on',
    ssl_cert_file: join(runDir, 'server.crt'),
    ssl_key_file: join(runDir, 'server.key'),
    ssl_ca_file: join(runDir, 'client-ca.crt'),
  });
  expect(statSync(join(runDir, 'server.key')).mode & 0o777).toBe(0o600);
});

test('what is damaged, refused or gone leaves the one before in force, and says so', async () => {
  mount(first());
  await tls.look();
  mount({ ...second(), key: first().key });
  await tls.look();
  expect(tls.status).toMatchObject({ state: 'tls', message: 'tls.key is not the key to the first certificate in tls.crt' });
  mount(second());
  verdict = { kind: 'refused', words: 'ee key too small' };
  await tls.look();
  await tls.look();
  expect(tls.status).toMatchObject({ state: 'tls', message: 'ee key too small' });
  expect(tried, 'tried once').toHaveLength(2);
  mount({});
  await tls.look();
  expect(tls.status).toMatchObject({ state: 'tls', message: 'there is no tls.crt' });
  expect([shown(), tls.pair]).toEqual([first().certificate, first()]);
  mount(first());
  await tls.look();
  expect(tls.status?.message).toBe('');
  expect(readdirSync(runDir).sort(), 'nothing is left of what was tried').toEqual(['client-ca.crt', 'server.crt', 'server.key']);
});

test('a running PostgreSQL is told of every change, until it was', async () => {
  mount(first());
  await tls.look();
  const over = new AbortController();
  const reloads = [new Error('PostgreSQL is busy'), undefined];
  const server = {
    shown: tls.pair,
    reload: () => {
      const failure = reloads.shift();
      if (failure !== undefined) return Promise.reject(failure);
      server.shown = tls.pair;
      over.abort();
      return Promise.resolve();
    },
  };
  mount(second());
  await tls.keep(server, over.signal);
  expect(server.shown).toEqual(second());
});

test('another CA of clients counts in place of the one beside the certificate', async () => {
  const clientCaFile = join(directory, 'clients.crt');
  tls = serverTls(clientCaFile);
  mount(first());
  await tls.look();
  expect(tls.settings['ssl_ca_file'], 'no certificate of a client counts, rather than one of the wrong CA').toBe('');
  writeFileSync(clientCaFile, second().clientCa ?? '');
  await tls.look();
  expect(readFileSync(join(runDir, 'client-ca.crt'), 'utf8')).toBe(second().clientCa);
});

test('where no directory is named there is none to be had', async () => {
  tls = new ServerTls({
    directory: undefined,
    clientCaFile: undefined,
    runDir,
    account: undefined,
    trial: () => Promise.reject(new Error('not tried')),
    clock: systemClock(),
    logger: silentLogger(),
  });
  await tls.look();
  expect([tls.settings, tls.status]).toEqual([{}, undefined]);
});
