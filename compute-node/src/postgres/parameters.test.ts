import { expect, test } from 'vitest';
import { AccountError, postgresAccount } from './account.ts';
import { configurationFile, hbaFile, OWNED_PARAMETERS, parseParameters } from './parameters.ts';
import { scramVerifier, verifierMatches } from './scram.ts';

test('a cluster sets its own parameters, quoted for postgresql.conf', () => {
  const parameters = parseParameters('{"work_mem": "8MB", "Max_Connections": 50, "jit": false, "my.note": "it\'s \\\\ fine"}');
  expect(configurationFile(parameters).split('\n').slice(1, -1)).toEqual([
    "io_workers = '8'",
    "commit_delay = '500'",
    "commit_siblings = '2'",
    "wal_buffers = '2MB'",
    "wal_level = 'replica'",
    "hot_standby_feedback = 'on'",
    "work_mem = '8MB'",
    "max_connections = '50'",
    "jit = 'off'",
    "my.note = 'it''s \\\\ fine'",
  ]);
});

/** A cluster may have it from before the log was JSON: the operator refuses it, and an agent goes on with its own. */
const WITHOUT_EFFECT = 'log_line_prefix';
const REFUSED = Object.keys(OWNED_PARAMETERS).filter((name) => name !== WITHOUT_EFFECT);

test.each([...REFUSED, 'FSYNC', 'port', 'hba_file', 'recovery_target_time'])('refuses %s by its name', (name) => {
  expect(() => parseParameters(JSON.stringify({ [name]: 'off' }))).toThrow(`PostgreSQL parameter '${name}' is set by kube-aurora`);
});

test(`${WITHOUT_EFFECT} of a cluster is no error: the one on PostgreSQL's command line holds`, () => {
  expect(parseParameters(JSON.stringify({ [WITHOUT_EFFECT]: '%m ', work_mem: '8MB' })).get('work_mem')).toBe('8MB');
});

test.each([
  ['{"a b": 1}', /'a b' is not a parameter name/],
  ['{"work_mem": "1\\nfsync=off"}', /'work_mem' has a line break/],
  ['{"work_mem": [1]}', /'work_mem' must be/],
  ['{"wal_level": "minimal"}', /'wal_level' must be 'replica' or 'logical'/],
  ['[]', /expected a JSON object/],
  ['{', /is not JSON/],
])('refuses %s', (json, message) => {
  expect(() => parseParameters(json)).toThrow(message);
});

test('nobody gets in from the network without a password, unless the cluster says so', () => {
  expect(
    hbaFile([])
      .split('\n')
      .filter((line) => line.startsWith('host')),
  ).toEqual([
    'host all all 0.0.0.0/0 scram-sha-256',
    'host replication all 0.0.0.0/0 scram-sha-256',
    'host all all ::/0 scram-sha-256',
    'host replication all ::/0 scram-sha-256',
  ]);
  expect(hbaFile(['hostnossl all all all reject']).split('\n').slice(0, 4)).toEqual([
    'local all all trust',
    'local replication postgres trust',
    'hostnossl all all all reject',
    'host all all 0.0.0.0/0 scram-sha-256',
  ]);
  expect(hbaFile(undefined)).not.toContain('host');
});

test('a verifier belongs to its password alone', () => {
  // RFC 7677's example: user "user", password "pencil", this salt, 4096 iterations.
  const verifier = scramVerifier('pencil', Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'));
  expect(verifier).toBe(
    'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=',
  );
  expect(verifierMatches(verifier, 'pencil')).toBe(true);
  expect(verifierMatches(verifier, 'Pencil')).toBe(false);
  expect(verifierMatches('md5abc', 'pencil')).toBe(false);
});

test('a root agent finds an account for PostgreSQL; an unprivileged one needs none', () => {
  const passwd = 'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n';
  expect(postgresAccount(undefined, 0, passwd)).toEqual({ uid: 65534, gid: 65534 });
  expect(postgresAccount(undefined, 1000, passwd)).toBeUndefined();
  expect(() => postgresAccount(['aurora'], 0, passwd)).toThrow(AccountError);
});
