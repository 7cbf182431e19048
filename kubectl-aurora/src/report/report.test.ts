import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { REDACTED } from '@kube-aurora/log';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { unzipEntry } from '../../../scripts/kubectl.mjs';
import { VIEWS } from '../testing/views.ts';
import { redactor } from './redact.ts';
import { reportFiles, type ReportParts } from './report-files.ts';
import { zip } from './zip.ts';

const { text, object } = redactor([]);

describe('what looks like a secret goes, without anybody naming it', () => {
  test.each([
    ["alter role app password 'it''s me' valid until 'x'", `alter role app password ${REDACTED} valid until 'x'`],
    ['CREATE ROLE a LOGIN PASSWORD $q$se cret$q$;', `CREATE ROLE a LOGIN PASSWORD ${REDACTED};`],
    ['connect to postgresql://app:s3:cr%40t@demo-rw:5432/app now', `connect to postgresql://app:${REDACTED}@demo-rw:5432/app now`],
    ['jdbc:postgresql://h:5432/app?password=abc&user=app', `jdbc:postgresql://h:5432/app?password=${REDACTED}&user=app`],
    ["primary_conninfo = 'host=x password=abc user=y'", `primary_conninfo = 'host=x password=${REDACTED} user=y'`],
    ['{"password":"a\\"b","x":1}', `{"password":${REDACTED},"x":1}`],
    ['SCRAM-SHA-256$4096:abc=$def=:ghi= end', `${REDACTED} end`],
    ['Authorization: Bearer abc.def-ghi', `Authorization: Bearer ${REDACTED}`],
    [`key -----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY----- end`, `key ${REDACTED} end`],
    ['token eyJhbGciOiJSUzI1NiJ9.eyJzdWIi.sig_x', `token ${REDACTED}`],
    ['the role’s password was changed in the database', 'the role’s password was changed in the database'],
  ])('%s', (given, expected) => {
    expect(text(given)).toBe(expected);
  });

  test('fields of objects, and no names of Secrets', () => {
    const pod = {
      metadata: { name: 'demo-1', annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{"x":"y"}', kept: 'yes' } },
      spec: {
        env: [
          { name: 'PGPASSWORD', value: 'hunter2' },
          { name: 'AURORA_ROLE', value: 'auto' },
          { name: 'API_TOKEN', valueFrom: { secretKeyRef: { name: 'demo-app', key: 'password' } } },
        ],
        bootstrap: { initdb: { postInitSQL: ["insert into keys values ('x')"], database: 'app' } },
        superuserSecret: { name: 'mine' },
      },
      status: { credentials: [{ role: 'app', secret: 'demo-app', passwordChangedAt: '2026-11-21T12:00:00Z' }] },
    };
    expect(object(pod)).toEqual({
      metadata: { name: 'demo-1', annotations: { kept: 'yes' } },
      spec: {
        env: [
          { name: 'PGPASSWORD', value: REDACTED },
          { name: 'AURORA_ROLE', value: 'auto' },
          { name: 'API_TOKEN', valueFrom: { secretKeyRef: { name: 'demo-app', key: 'password' } } },
        ],
        bootstrap: { initdb: { postInitSQL: REDACTED, database: 'app' } },
        superuserSecret: { name: 'mine' },
      },
      status: pod.status,
    });
  });
});

/** A report in which a password stands wherever one might get to. */
function reportWith(secret: string): ReportParts {
  const { cluster, events = [], pods = [], now } = VIEWS['lost zone'];
  const uri = `postgresql://app:${encodeURIComponent(secret)}@demo-rw:5432/app`;
  const line = JSON.stringify({ level: 'error', msg: `FATAL: no login with ${secret}`, inner: JSON.stringify({ secret }) });
  const status = { ...cluster.status, message: `it said ${secret}` };
  return {
    view: {
      cluster: { ...cluster, metadata: { ...cluster.metadata, annotations: { note: secret } }, status },
      pods,
      events: [...events, { metadata: { name: 'e', namespace: 'default' }, message: `x${secret}y`, reason: 'R', type: 'Warning' }],
      now,
    },
    objects: new Map([
      ['configmaps', [{ data: { 'app.conf': `dsn ${uri}`, b64: Buffer.from(secret).toString('base64'), [`key-${secret}`]: 'x' } }]],
    ]),
    logs: new Map([
      ['demo-1', [line, uri, `'${secret.replaceAll("'", "''")}'`, secret].map((said) => ({ pod: 'demo-1', time: 'T', text: said }))],
    ]),
    figures: { byPod: new Map(), missing: new Map([['demo-1', `error: ${secret}`]]) },
    metrics: new Map([['demo-1', `a{query="${secret}"} 1\n`]]),
    secrets: [secret],
    troubles: [`log of demo-2: ${secret}`],
    version: 'test',
  };
}

test('no known secret is anywhere in a report, however it is written', () => {
  // Stars are what stands in its place, and words that every report has prove nothing.
  const every = JSON.stringify(reportFiles(reportWith('unlikely-to-be-there')));
  const secrets = fc
    .string({ unit: 'grapheme', minLength: 6, maxLength: 24 })
    .filter((secret) => !secret.includes('*') && secret.trim() === secret && !every.includes(secret));
  fc.assert(
    fc.property(secrets, (secret) => {
      for (const { content } of reportFiles(reportWith(secret))) {
        expect(content).not.toContain(secret);
        expect(content).not.toContain(encodeURIComponent(secret));
        expect(content).not.toContain(Buffer.from(secret).toString('base64'));
        expect(content).not.toContain(JSON.stringify(secret).slice(1, -1));
      }
    }),
    { numRuns: 20 },
  );
});

test('a report is a zip that others read, and says what it lacks', () => {
  const files = reportFiles(reportWith('hunter2-hunter2'));
  expect(files.map((file) => file.path)).toEqual([
    'README.txt',
    'status.txt',
    'status.json',
    'storage.txt',
    'manifests/auroracluster.yaml',
    'manifests/configmaps.yaml',
    'events.yaml',
    'logs/demo-1.log',
    'metrics/demo-1.txt',
  ]);
  const directory = mkdtempSync(path.join(tmpdir(), 'ka-report-'));
  try {
    const archive = path.join(directory, 'report.zip');
    writeFileSync(archive, zip(files, new Date('2026-11-27T13:00:00Z')));
    for (const file of files) expect(unzipEntry(archive, file.path).toString()).toBe(file.content);
  } finally {
    rmSync(directory, { recursive: true });
  }
  expect(files[0]?.content).toContain(`Not in it:\n  log of demo-2: ${REDACTED}\n`);
  expect(reportFiles({ ...reportWith('x'), secrets: undefined })[0]?.content).toContain('Look through it before you pass it on');
});
