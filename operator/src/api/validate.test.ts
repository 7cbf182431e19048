import fc from 'fast-check';
import { expect, test } from 'vitest';
import { makeCluster } from '../testing/fixtures.ts';
import type { withDefaults } from './defaults.ts';
import { OWNED_PARAMETERS, splitParameters } from './parameters.ts';
import { largerSize, sizeBytes } from './quantity.ts';
import { validateCluster } from './validate.ts';

const fieldsOf = (cluster: Parameters<typeof validateCluster>[0]): readonly string[] => validateCluster(cluster).map(({ field }) => field);

test('what an older schema let through is named', () => {
  expect(fieldsOf(makeCluster())).toEqual([]);
  expect(fieldsOf(makeCluster({ spec: { storage: { size: '1Gi' }, instances: 16 } }))).toEqual([]);
  for (const instances of [17, 0, -1, 1.5])
    expect(fieldsOf(makeCluster({ spec: { storage: { size: '1Gi' }, instances } }))).toEqual(['spec.instances']);
  for (const maxLag of ['', '10', '0s', '1 s', '-1s', '1d'])
    expect(fieldsOf(makeCluster({ spec: { storage: { size: '1Gi' }, readers: { maxLag } } }))).toEqual(['spec.readers.maxLag']);
  expect(fieldsOf(makeCluster({ spec: {} }))).toEqual([]);
  expect(fieldsOf(makeCluster({ spec: { storage: { size: '1Mi' } } }))).toEqual(['spec.storage.size']);
  expect(fieldsOf(makeCluster({ spec: { storage: { size: '10GB' } } }))).toEqual(['spec.storage.size']);
  expect(fieldsOf(makeCluster({ spec: { storage: { size: '1Gi', zones: ['a'] } } }))).toEqual(['spec.storage.zones']);
  expect(fieldsOf(makeCluster({ spec: { bootstrap: { initdb: { database: 'template1', owner: 'pg_mine' } } } }))).toEqual([
    'spec.bootstrap.initdb.database',
    'spec.bootstrap.initdb.owner',
  ]);
  for (const standInAfterSeconds of [-1, 1.5, 31_536_001])
    expect(fieldsOf(makeCluster({ spec: { storage: { size: '1Gi', standInAfterSeconds } } }))).toEqual([
      'spec.storage.standInAfterSeconds',
    ]);
  expect(fieldsOf(makeCluster({ spec: { storage: { size: '1Gi', standInAfterSeconds: 0 } } }))).toEqual([]);
  expect(fieldsOf(makeCluster({ name: 'Demo' }))).toEqual(['metadata.name']);
});

test('a line of pg_hba that is wrong refuses the manifest, and the word is named', () => {
  const pg_hba = ['host all all all scram-sha-256', 'host all all 10.0.0.0 md5', 'local all all trust'];
  expect(validateCluster(makeCluster({ spec: { storage: { size: '1Gi' }, postgresql: { pg_hba } } }))).toEqual([
    {
      field: 'spec.postgresql.pg_hba[1]',
      message: "'host all all 10.0.0.0 md5' has the address '10.0.0.0' without its length; write 10.0.0.0/32 for one machine",
      fatal: true,
    },
    {
      field: 'spec.postgresql.pg_hba[2]',
      message: expect.stringMatching(/^'local all all trust' begins with 'local'/) as string,
      fatal: true,
    },
  ]);
});

test('sizes and quantities that cannot be, with their fields', () => {
  const size = '1Gi';
  expect(fieldsOf(makeCluster({ spec: { storage: { size: '99999Ti' } } }))).toEqual(['spec.storage.size']);
  expect(fieldsOf(makeCluster({ spec: { storage: { size: '-1Gi' } } }))).toEqual(['spec.storage.size']);
  const resources = {
    requests: { cpu: 2, memory: '-1Gi', 'example.com/gpu': 2 },
    limits: { cpu: '1500m', memory: 'lots', 'example.com/gpu': 1 },
  };
  expect(fieldsOf(makeCluster({ spec: { storage: { size }, compute: { resources } } }))).toEqual([
    'spec.compute.resources.requests.memory',
    'spec.compute.resources.limits.memory',
    'spec.compute.resources.requests.cpu',
    'spec.compute.resources.requests.example.com/gpu',
  ]);
  expect(fieldsOf(makeCluster({ spec: { storage: { size, resources: { requests: { cpu: '1000m' }, limits: { cpu: 1 } } } } }))).toEqual([]);
  const limited = (memory: string) => makeCluster({ spec: { storage: { size, resources: { limits: { memory } } } } });
  expect(fieldsOf(limited('255Mi'))).toEqual(['spec.storage.resources.limits.memory']);
  expect(fieldsOf(limited('256Mi'))).toEqual([]);
  const long = Object.fromEntries(Array.from({ length: 10 }, (_, index) => [`a.b${index}`, 'x'.repeat(16_000)]));
  expect(fieldsOf(makeCluster({ spec: { storage: { size }, postgresql: { parameters: long } } }))).toEqual(['spec.postgresql.parameters']);
});

test('parameters: ours are refused in any spelling, the others handed on in lower case', () => {
  const { accepted, refused } = splitParameters({
    FSYNC: 'off',
    Work_Mem: '4MB',
    'auto_explain.log_min_duration': '1s',
    'a b': 'x',
    search_path: 'a\nb',
  });
  expect(accepted).toEqual({ work_mem: '4MB', 'auto_explain.log_min_duration': '1s' });
  expect(refused.map(({ name }) => name)).toEqual(['FSYNC', 'a b', 'search_path']);
  for (const name of Object.keys(OWNED_PARAMETERS)) expect(splitParameters({ [name]: '1' }).accepted).toEqual({});
  expect(splitParameters({ recovery_target_name: 'x' }).accepted).toEqual({});
  expect(splitParameters({ constructor: '1' }).accepted).toEqual({ constructor: '1' });
});

test('failover and single instances: the field, what is wrong with it and what would be right', () => {
  const of = (spec: Parameters<typeof withDefaults>[0]): readonly string[] =>
    validateCluster(makeCluster({ spec: { storage: { size: '1Gi' }, ...spec } })).map(({ field, message }) => `${field} ${message}`);
  for (const after of ['1s', '1500ms', '60s', '1m']) expect(of({ failover: { after } })).toEqual([]);
  expect(of({ failover: { after: '2' } })).toEqual(["spec.failover.after '2' is not a duration; use for example 2s or 1500ms"]);
  expect(of({ failover: { after: '999ms' } })).toEqual([
    "spec.failover.after '999ms' is too short: a writer that lives may be silent for half of 1s; use at least 1s",
  ]);
  expect(of({ failover: { after: '61s' } })).toEqual([
    "spec.failover.after '61s' is too long: nobody would write for all that time; use at most 60s",
  ]);
  for (const switchoverDrain of ['1ms', '500ms', '10s']) expect(of({ failover: { switchoverDrain } })).toEqual([]);
  expect(of({ failover: { switchoverDrain: '0s' } })).toEqual([
    "spec.failover.switchoverDrain '0s' is not a duration; use for example 2s, or 1ms to wait for nothing",
  ]);
  expect(of({ failover: { switchoverDrain: '11s' } })).toEqual([
    "spec.failover.switchoverDrain '11s' is too long: nobody would begin a transaction for all that time; use at most 10s",
  ]);
  expect(of({ failover: { warmCache: { enabled: true, pagesPerSecond: 100_000 } } })).toEqual([]);
  expect(of({ failover: { warmCache: { pagesPerSecond: 1.5 } } })).toEqual([
    'spec.failover.warmCache.pagesPerSecond 1.5 is no number of pages; use 1 to 100000, or enabled: false for none',
  ]);
  const limits = (quantities: Record<string, string>) => ({ resources: { limits: quantities } });
  expect(
    of({
      instanceOverrides: [
        { instance: 1, promotionTier: 0 },
        { instance: 16, promotionTier: 15, ...limits({ cpu: '2' }) },
      ],
    }),
  ).toEqual([]);
  expect(of({ instanceOverrides: [{ instance: 0 }, { instance: 17 }, { instance: 2.5 }] })).toEqual(
    [0, 17, 2.5].map(
      (number, at) => `spec.instanceOverrides[${at}].instance ${number} is no instance's number; use one from 1 to 16: 2 is NAME-2`,
    ),
  );
  expect(of({ instanceOverrides: [{ instance: 2 }, { instance: 3 }, { instance: 2, promotionTier: 0 }] })).toEqual([
    'spec.instanceOverrides[2].instance 2 is there twice; say all of an instance in one place',
  ]);
  expect(
    of({
      instanceOverrides: [
        { instance: 2, promotionTier: 16 },
        { instance: 3, promotionTier: -1 },
      ],
    }),
  ).toEqual([
    'spec.instanceOverrides[0].promotionTier 16 is no tier; use one from 0, which is first, to 15',
    'spec.instanceOverrides[1].promotionTier -1 is no tier; use one from 0, which is first, to 15',
  ]);
  expect(
    of({
      compute: { cacheSize: '20Gi' },
      instanceOverrides: [
        { instance: 2, resources: { requests: { cpu: 2 }, limits: { cpu: 1, 'ephemeral-storage': '10Gi' } } },
        { instance: 3, ...limits({ memory: 'lots', cpuu: '1' }) },
      ],
    }),
  ).toEqual([
    "spec.instanceOverrides[0].resources.requests.cpu '2' is above the limit '1'; lower it or raise limits.cpu",
    "spec.instanceOverrides[1].resources.limits.memory 'lots' is not a quantity; use for example 500m or 2Gi",
    'spec.instanceOverrides[1].resources.limits.cpuu is no resource; use cpu, memory, ephemeral-storage, hugepages-SIZE, or DOMAIN/NAME for others',
    "spec.compute.cacheSize '20Gi' leaves no room below spec.instanceOverrides[0].resources.limits.ephemeral-storage '10Gi' for WAL and temporary files; use about half of it",
  ]);
});

test('a cache that is too small, or leaves no room in the pod, says what would be right', () => {
  const cache = (cacheSize: string, limit?: string) =>
    validateCluster(
      makeCluster({
        spec: {
          storage: { size: '1Gi' },
          compute: { cacheSize, ...(limit === undefined ? {} : { resources: { limits: { 'ephemeral-storage': limit } } }) },
        },
      }),
    ).map(({ field, message }) => `${field} ${message}`);
  expect(cache('64Mi')).toEqual([]);
  expect(cache('20Gi', '40Gi')).toEqual([]);
  expect(cache('20GB')).toEqual(["spec.compute.cacheSize '20GB' is not a size; use for example 20Gi"]);
  expect(cache('63Mi')).toEqual(["spec.compute.cacheSize '63Mi' is too small for what PostgreSQL reads at once; use at least 64Mi"]);
  expect(cache('65Ti')).toEqual(["spec.compute.cacheSize '65Ti' is larger than any volume; use at most 64Ti"]);
  expect(cache('20Gi', '20Gi')).toEqual([
    "spec.compute.cacheSize '20Gi' leaves no room below spec.compute.resources.limits.ephemeral-storage '20Gi' for WAL and temporary files; use about half of it",
  ]);
});

test('a volume for the cache that is too small, or leaves no room, says what would be right', () => {
  const volume = (size: string, cacheSize?: string) =>
    validateCluster(
      makeCluster({
        spec: {
          storage: { size: '1Gi' },
          compute: {
            cacheVolume: { size },
            ...(cacheSize === undefined ? {} : { cacheSize }),
            // It bounds other things now.
            resources: { limits: { 'ephemeral-storage': '1Gi' } },
          },
        },
      }),
    ).map(({ field, message }) => `${field} ${message}`);
  expect(volume('2Gi')).toEqual([]);
  expect(volume('40Gi', '20Gi')).toEqual([]);
  expect(volume('40GB')).toEqual(["spec.compute.cacheVolume.size '40GB' is not a size; use for example 20Gi"]);
  expect(volume('1Gi')).toEqual(["spec.compute.cacheVolume.size '1Gi' is too small for PostgreSQL's WAL and its cache; use at least 2Gi"]);
  expect(volume('65Ti')).toEqual(["spec.compute.cacheVolume.size '65Ti' is larger than any volume; use at most 64Ti"]);
  expect(volume('20Gi', '20Gi')).toEqual([
    "spec.compute.cacheSize '20Gi' leaves no room in spec.compute.cacheVolume.size '20Gi' for WAL and temporary files; use about half of it",
  ]);
});

test('sizes compare by their bytes', () => {
  expect(sizeBytes('1Gi')).toBe(2 ** 30);
  expect(sizeBytes('1.5G')).toBe(1.5e9);
  expect(sizeBytes('1GB')).toBeUndefined();
  expect(largerSize('1024Mi', '1Gi')).toBe('1024Mi');
  expect(largerSize('1G', '1Gi')).toBe('1Gi');
  fc.assert(fc.property(fc.nat(10_000), fc.nat(10_000), (a, b) => sizeBytes(largerSize(`${a}Mi`, `${b}Mi`)) === Math.max(a, b) * 2 ** 20));
});
