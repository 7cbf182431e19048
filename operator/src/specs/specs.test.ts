import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ANNOTATION, LABEL } from '../api/names.ts';
import type { Resources } from '../api/types.ts';
import type { Pod } from '../kube/objects.ts';
import { makeCluster, segment, VOLUME } from '../testing/fixtures.ts';
import { computePod, storageAddresses } from './compute-pod.ts';
import { canonicalJson, covers, fingerprint } from './metadata.ts';
import { appCredentials, connectionKeys, connectionSecret, secretPassword, superuserCredentials } from './secrets.ts';
import { clientServices, storageService } from './services.ts';
import { settingsMap } from './settings-map.ts';
import { storagePeers, storagePod } from './storage-pod.ts';

const envOf = (pod: Pod): Readonly<Record<string, string | undefined>> =>
  Object.fromEntries((pod.spec.containers[0]?.env ?? []).map(({ name, value }) => [name, value]));
const cluster = makeCluster();
const compute = (change: Partial<Parameters<typeof computePod>[1]> = {}, of = cluster): Pod =>
  computePod(of, {
    ordinal: 1,
    role: 'writer',
    volumeId: VOLUME,
    zone: 'zone-a',
    image: 'c:1',
    servesReads: false,
    mountedVersions: '',
    ...change,
  });

describe('what pods ask for', () => {
  const asked = (pod: Pod) => pod.spec.containers[0]?.resources as Resources | undefined;
  const limits = { memory: '1Gi' };

  test('is enough not to be the first that is killed or goes without CPU, where a manifest says nothing', () => {
    for (const pod of [storagePod(cluster, segment(0), 'zone-a', 's:1'), compute()]) {
      expect(asked(pod)?.requests).toEqual({ cpu: expect.stringMatching(/^\d+m$/), memory: expect.stringMatching(/^\d+Mi$/) });
      expect(asked(pod)?.limits).toBeUndefined();
    }
  });

  test('is what a manifest says, with nothing added', () => {
    const own = makeCluster({ spec: { storage: { size: '1Gi', resources: { limits } }, compute: { resources: { limits } } } });
    expect(asked(storagePod(own, segment(0), 'zone-a', 's:1'))).toEqual({ limits });
    expect(asked(compute({}, own))).toEqual({ limits });
  });
});

describe('storage pods', () => {
  test('know themselves and all six peers by names that last', () => {
    const pod = storagePod(cluster, segment(4), 'zone-b', 's:1');
    expect(envOf(pod)).toMatchObject({
      AURORA_DAEMON_ID: 'demo-storage-4',
      AURORA_ZONE: 'zone-b',
      AURORA_LISTEN: '$(POD_IP):7001',
      AURORA_FRAMES_LISTEN: '$(POD_IP):7004',
      AURORA_METRICS_LISTEN: '$(POD_IP):7002',
    });
    expect(envOf(pod)['AURORA_PEERS']?.split(',')).toHaveLength(6);
    expect(envOf(pod)['AURORA_PEERS']).toContain('demo-storage-5=demo-storage-5.demo-storage.default.svc:7001');
    expect(pod.spec).toMatchObject({
      hostname: 'demo-storage-4',
      subdomain: 'demo-storage',
      volumes: [
        { persistentVolumeClaim: { claimName: 'demo-storage-4' } },
        { name: 'identity', secret: { secretName: 'demo-storage-tls' } },
        { name: 'compile-cache' },
      ],
    });
    expect(pod.spec.containers[0]?.env[0]?.name).toBe('POD_IP');
  });

  test('mount the Secret with the key where what is stored is encrypted, whose name stands in its path; others know of none', () => {
    const encryption = { key: { secret: { name: 'orders-kek', key: 'k1' } } };
    const own = makeCluster({ spec: { storage: { size: '1Gi', encryption } } });
    const pod = storagePod(own, segment(0), 'zone-a', 's:1');
    expect(envOf(pod)['AURORA_ENCRYPTION_KEY_FILE']).toBe('/etc/kube-aurora/encryption/orders-kek/k1');
    expect(pod.spec.volumes).toContainEqual({ name: 'encryption', secret: { secretName: 'orders-kek', defaultMode: 0o440 } });
    expect(pod.spec.containers[0]?.volumeMounts).toContainEqual({
      name: 'encryption',
      mountPath: '/etc/kube-aurora/encryption/orders-kek',
      readOnly: true,
    });
    expect(JSON.stringify(storagePod(cluster, segment(0), 'zone-a', 's:1'))).not.toContain('ncryption');
  });

  test('have a plugin of a KMS beside them where it keeps the key, as a sidecar that `restricted` lets pass, and the key from before', () => {
    const kms = {
      image: 'kms:1',
      args: ['--listen=$(KMS_SOCKET)'],
      env: [{ name: 'TOKEN', valueFrom: { secretKeyRef: { name: 'login', key: 'token' } } }],
      secret: { name: 'kms-config' },
      serviceAccountToken: { audience: 'sts.amazonaws.com' },
    };
    const encryption = { key: { kms }, before: { secret: { name: 'orders-kek', key: 'k1' } } };
    const pod = storagePod(makeCluster({ spec: { storage: { size: '1Gi', encryption } } }), segment(0), 'zone-a', 's:1');
    expect(envOf(pod)).toMatchObject({
      AURORA_ENCRYPTION_KMS_SOCKET: '/run/kube-aurora/kms/kms.sock',
      AURORA_ENCRYPTION_BEFORE_KEY_FILE: '/etc/kube-aurora/encryption-before/orders-kek/k1',
    });
    const [sidecar, ...others] = pod.spec.initContainers ?? [];
    expect(others).toEqual([]);
    expect(sidecar).toMatchObject({
      name: 'kms',
      restartPolicy: 'Always',
      args: ['--listen=$(KMS_SOCKET)'],
      env: [{ name: 'KMS_SOCKET', value: '/run/kube-aurora/kms/kms.sock' }, { name: 'TOKEN' }],
      securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
    });
    // What is mounted is there, and the plugin sees none of the daemon's: no data, no identity, no key from before.
    const volumes = new Set(pod.spec.volumes.map(({ name }) => name));
    const mounted = [...(sidecar?.volumeMounts ?? []), ...(pod.spec.containers[0]?.volumeMounts ?? [])].map(({ name }) => name);
    expect(mounted.filter((name) => !volumes.has(name))).toEqual([]);
    expect(sidecar?.volumeMounts.map(({ name }) => name)).toEqual(['kms', 'kms-files', 'kms-token']);
    expect(pod.spec.volumes.find(({ name }) => name === 'kms')).toMatchObject({ emptyDir: {} });
  });

  test('size themselves by the memory that they may use, and by nothing when that is not said', () => {
    const limited = (memory: string | number): string | undefined =>
      envOf(
        storagePod(makeCluster({ spec: { storage: { size: '1Gi', resources: { limits: { memory } } } } }), segment(0), 'zone-a', 's:1'),
      )['AURORA_MEMORY_MIB'];
    expect(limited('256Mi')).toBe('192');
    expect(limited('4Gi')).toBe('3072');
    expect(limited(2 ** 30)).toBe('768');
    expect(limited('1Ti')).toBe('65536');
    expect(envOf(storagePod(cluster, segment(0), 'zone-a', 's:1'))).not.toHaveProperty('AURORA_MEMORY_MIB');
  });

  test('stand in the zone of their claim, two in each', () => {
    expect(canonicalJson(storagePod(cluster, segment(4), 'zone-b', 's:1').spec.affinity)).toContain('"values":["zone-b"]');
    expect(storageService(cluster).spec).toMatchObject({ clusterIP: 'None', publishNotReadyAddresses: true });
  });

  test('carry a hash that changes with what they run', () => {
    const hash = (pod: Pod): string | undefined => pod.metadata.annotations?.[ANNOTATION.specHash];
    expect(hash(storagePod(cluster, segment(0), 'zone-a', 's:1'))).toBe(hash(storagePod(makeCluster(), segment(0), 'zone-a', 's:1')));
    expect(hash(storagePod(cluster, segment(0), 'zone-a', 's:1'))).not.toBe(hash(storagePod(cluster, segment(0), 'zone-a', 's:2')));
    expect(hash(compute())).toBe(hash(compute({ zone: 'zone-c' })));
    expect(hash(compute())).not.toBe(hash(compute({ volumeId: 'other' })));
  });
});

test('probes: a stall of a minute kills nothing, one "no" takes a pod out of its Services, a start may take ten minutes', () => {
  for (const { spec } of [compute(), storagePod(cluster, segment(0), 'zone-a', 's:1')]) {
    const { startupProbe, readinessProbe, livenessProbe } = spec.containers[0] ?? {};
    // The shortest silence that kills: the first failing probe comes at once, the last one failureThreshold - 1 periods
    // later.
    expect(((livenessProbe?.failureThreshold ?? 0) - 1) * (livenessProbe?.periodSeconds ?? 0)).toBeGreaterThanOrEqual(60);
    expect(livenessProbe?.timeoutSeconds).toBeGreaterThanOrEqual(10);
    expect((startupProbe?.failureThreshold ?? 0) * (startupProbe?.periodSeconds ?? 0)).toBeGreaterThanOrEqual(600);
    expect(readinessProbe).toMatchObject({ httpGet: { path: '/readyz' }, failureThreshold: 1, timeoutSeconds: 5 });
    expect(readinessProbe?.periodSeconds).toBeLessThanOrEqual(2);
  }
});

test('compiled code lies on a volume that outlives the container', () => {
  for (const { spec } of [compute(), storagePod(cluster, segment(0), 'zone-a', 's:1')]) {
    const directory = spec.containers[0]?.env.find(({ name }) => name === 'NODE_COMPILE_CACHE')?.value;
    const mount = spec.containers[0]?.volumeMounts.find(({ mountPath }) => mountPath === directory);
    expect(spec.volumes?.find(({ name }) => name === mount?.name)?.emptyDir).toBeDefined();
  }
});

describe('the compute pod', () => {
  test('finds storage, its passwords and its scratch space', () => {
    expect(envOf(compute())).toMatchObject({
      AURORA_VOLUME_ID: VOLUME,
      AURORA_INSTANCE: 'demo-1',
      AURORA_PG_LISTEN: '$(POD_IP):5432',
      AURORA_SUPERUSER_PASSWORD_FILE: '/etc/kube-aurora/superuser/password',
      AURORA_APP_USER: 'app',
      AURORA_APP_DATABASE: 'app',
      AURORA_SETTINGS_DIR: '/etc/kube-aurora/settings',
    });
    expect(envOf(compute())['AURORA_STORAGE']?.split(',')[1]).toBe(
      'demo-storage-1=zone-b=demo-storage-1.demo-storage.default.svc:7001/7004',
    );
    expect(compute().spec.volumes).toMatchObject([
      { emptyDir: {} },
      { secret: { secretName: 'demo-superuser', optional: true } },
      { secret: { secretName: 'demo-app', optional: true } },
      { configMap: { name: 'demo-settings' } },
      { secret: { secretName: 'demo-compute-tls' } },
      { secret: { secretName: 'demo-server-tls', optional: true } },
      { secret: { secretName: 'demo-token-review', optional: true } },
      { name: 'compile-cache' },
    ]);
  });

  test('have a cache of the size that is asked for, or of half of what they may take', () => {
    const cacheOf = (spec: NonNullable<Parameters<typeof makeCluster>[0]>['spec']): string | undefined =>
      envOf(
        computePod(makeCluster({ spec: { storage: { size: '1Gi' }, ...spec } }), {
          ordinal: 1,
          role: 'writer',
          volumeId: VOLUME,
          zone: 'zone-a',
          image: 'c:1',
          servesReads: true,
          mountedVersions: '',
        }),
      )['AURORA_CACHE_MIB'];
    const limited = (limit: string) => ({ resources: { limits: { 'ephemeral-storage': limit } } });
    expect(cacheOf({})).toBeUndefined();
    expect(cacheOf({ compute: { cacheSize: '20Gi' } })).toBe('20480');
    expect(cacheOf({ compute: { cacheSize: '100M' } })).toBe('95');
    expect(cacheOf({ compute: limited('40Gi') })).toBe('20480');
    expect(cacheOf({ compute: { ...limited('40Gi'), cacheSize: '30Gi' } })).toBe('30720');
    expect(cacheOf({ compute: limited('50Mi') })).toBe('64');
    const cacheVolume = { size: '30Gi' };
    expect(cacheOf({ compute: { ...limited('10Gi'), cacheVolume } })).toBe('15360');
    expect(cacheOf({ compute: { ...limited('10Gi'), cacheVolume, cacheSize: '20Gi' } })).toBe('20480');
  });

  test('knows from its annotation whether its volume held a database; that does not make it outdated', () => {
    const variable = compute().spec.containers[0]?.env.find(({ name }) => name === 'AURORA_VOLUME_EXISTS');
    expect(variable?.valueFrom?.fieldRef.fieldPath).toBe(`metadata.annotations['${ANNOTATION.volumeExists}']`);
    const [before, after] = [compute(), compute({ volumeExists: true })].map(({ metadata }) => metadata.annotations ?? {});
    expect([before?.[ANNOTATION.volumeExists], after?.[ANNOTATION.volumeExists]]).toEqual(['false', 'true']);
    expect(before?.[ANNOTATION.specHash]).toBe(after?.[ANNOTATION.specHash]);
  });

  test('is the same whatever PostgreSQL parameters are wanted: they come in a ConfigMap', () => {
    const parameters = { search_path: '"$user", $(POD_IP)', Work_Mem: '8MB', fsync: 'off' };
    const changed = makeCluster({ spec: { storage: { size: '10Gi' }, postgresql: { parameters } } });
    const input = {
      ordinal: 1,
      role: 'writer',
      volumeId: VOLUME,
      zone: 'zone-a',
      image: 'c:1',
      servesReads: true,
      mountedVersions: '',
    } as const;
    expect(computePod(changed, input)).toEqual(computePod(makeCluster(), input));
    expect(settingsMap(changed, { parameters: undefined, rules: undefined }).data).toMatchObject({
      'parameters.json': '{"search_path":"\\"$user\\", $(POD_IP)","work_mem":"8MB"}',
    });
  });

  test('has the queries that the manifest names, and starts without them where their ConfigMap is not there', () => {
    const monitoring = { customQueriesConfigMap: { name: 'demo-queries' } };
    const pod = compute({}, makeCluster({ spec: { storage: { size: '10Gi' }, monitoring } }));
    expect(pod.spec.volumes).toContainEqual({ name: 'queries', configMap: { name: 'demo-queries', optional: true } });
    expect(envOf(pod)['AURORA_QUERIES_DIR']).toBe(pod.spec.containers[0]?.volumeMounts?.find(({ name }) => name === 'queries')?.mountPath);
    expect(envOf(compute())).not.toHaveProperty('AURORA_QUERIES_DIR');
  });

  test('is told no role, which it asks storage for; its label is no part of what makes it outdated', () => {
    expect(compute().spec.containers[0]?.env).toContainEqual({ name: 'AURORA_ROLE', value: 'auto' });
    const reader = compute({ role: 'reader', servesReads: true });
    expect(reader.metadata.labels).toMatchObject({ [LABEL.role]: 'reader', [LABEL.servesReads]: 'true' });
    expect(reader.metadata.annotations).toEqual(compute().metadata.annotations);
  });

  test.each([
    ['demo-rw', ['writer', 'writer that serves reads']],
    ['demo-ro', ['writer that serves reads', 'reader that serves reads']],
    ['demo-r', ['writer', 'writer that serves reads', 'reader', 'reader that serves reads']],
    ['demo-instances', ['writer', 'writer that serves reads', 'reader', 'reader that serves reads']],
  ])('%s selects %j, and no other pods', (name, expected) => {
    const pods: Readonly<Record<string, Pod>> = {
      writer: compute(),
      'writer that serves reads': compute({ servesReads: true }),
      reader: compute({ role: 'reader' }),
      'reader that serves reads': compute({ role: 'reader', servesReads: true }),
      'storage pod': storagePod(cluster, segment(0), 'zone-a', 's:1'),
    };
    const service = clientServices(cluster).find(({ metadata }) => metadata.name === name);
    expect(service).toBeDefined();
    const selected = Object.entries(pods).filter(([, { metadata }]) => covers(metadata.labels, service?.spec.selector));
    expect(selected.map(([what]) => what)).toEqual(expected);
  });

  test('NAME-rw leads to the port from where a reader passes its clients on to the writer; of a pod without it, to the only one', () => {
    const targets = (pod?: Pod): unknown[] =>
      clientServices(cluster, pod).map(({ metadata, spec }) => [
        metadata.name,
        spec.ports.map(({ port, targetPort }) => [port, targetPort]),
      ]);
    const others = ['demo-ro', 'demo-r', 'demo-instances'].map((name) => [name, [[5432, 'postgres']]]);
    const pod = compute();
    const [container] = pod.spec.containers;
    if (container === undefined) throw new Error('no container');
    expect(container.ports).toContainEqual({ name: 'writer', containerPort: 5435 });
    expect(container.env).toContainEqual({ name: 'AURORA_INSTANCES', value: '*.demo-instances.default.svc:5432' });
    expect(targets()).toEqual([['demo-rw', [[5432, 'writer']]], ...others]);
    expect(targets(pod)).toEqual(targets());
    const old = { ...container, ports: container.ports.filter(({ name }) => name !== 'writer') };
    expect(targets({ ...pod, spec: { ...pod.spec, containers: [old] } })).toEqual([['demo-rw', [[5432, 'postgres']]], ...others]);
  });

  test('every instance has a name of its own, ready or not', () => {
    const service = clientServices(cluster).find(({ metadata }) => metadata.name === 'demo-instances');
    expect(service?.spec).toMatchObject({ clusterIP: 'None', publishNotReadyAddresses: true });
    expect(compute({ ordinal: 3 }).spec).toMatchObject({ hostname: 'demo-3', subdomain: 'demo-instances' });
  });
});

describe('secrets', () => {
  test("carry CloudNativePG's keys", () => {
    expect(connectionKeys('demo', 'default', appCredentials(cluster), 'pa:ss/w%')).toEqual({
      username: 'app',
      password: 'pa:ss/w%',
      dbname: 'app',
      host: 'demo-rw',
      port: '5432',
      pgpass: ['rw', 'ro', 'r'].map((end) => `demo-${end}:5432:app:app:pa\\:ss/w%\n`).join(''),
      uri: 'postgresql://app:pa%3Ass%2Fw%25@demo-rw.default:5432/app',
      'jdbc-uri': 'jdbc:postgresql://demo-rw.default:5432/app?password=pa%3Ass%2Fw%25&user=app',
      'fqdn-uri': 'postgresql://app:pa%3Ass%2Fw%25@demo-rw.default.svc.cluster.local:5432/app',
      'fqdn-jdbc-uri': 'jdbc:postgresql://demo-rw.default.svc.cluster.local:5432/app?password=pa%3Ass%2Fw%25&user=app',
      'host-ro': 'demo-ro',
      'uri-ro': 'postgresql://app:pa%3Ass%2Fw%25@demo-ro.default:5432/app',
      'jdbc-uri-ro': 'jdbc:postgresql://demo-ro.default:5432/app?password=pa%3Ass%2Fw%25&user=app',
      'fqdn-uri-ro': 'postgresql://app:pa%3Ass%2Fw%25@demo-ro.default.svc.cluster.local:5432/app',
      'fqdn-jdbc-uri-ro': 'jdbc:postgresql://demo-ro.default.svc.cluster.local:5432/app?password=pa%3Ass%2Fw%25&user=app',
      'host-r': 'demo-r',
      'uri-r': 'postgresql://app:pa%3Ass%2Fw%25@demo-r.default:5432/app',
      'jdbc-uri-r': 'jdbc:postgresql://demo-r.default:5432/app?password=pa%3Ass%2Fw%25&user=app',
      'fqdn-uri-r': 'postgresql://app:pa%3Ass%2Fw%25@demo-r.default.svc.cluster.local:5432/app',
      'fqdn-jdbc-uri-r': 'jdbc:postgresql://demo-r.default.svc.cluster.local:5432/app?password=pa%3Ass%2Fw%25&user=app',
    });
  });

  test('give back any password they were made with', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, unit: 'grapheme' }), (password) => {
        const secret = connectionSecret(cluster, superuserCredentials(cluster), password, undefined);
        const uri = new URL(Buffer.from(secret.data?.['uri'] ?? '', 'base64').toString('utf8'));
        expect(secretPassword(secret)).toBe(password);
        expect(decodeURIComponent(uri.password)).toBe(password);
      }),
    );
  });

  test('are of type basic-auth and go with the cluster', () => {
    expect(connectionSecret(cluster, superuserCredentials(cluster), 'x', 'UEVN')).toMatchObject({
      data: { 'ca.crt': 'UEVN' },
      type: 'kubernetes.io/basic-auth',
      metadata: { name: 'demo-superuser', ownerReferences: [{ uid: VOLUME, controller: true }] },
    });
  });
});

describe('comparing', () => {
  test('what others added does not count, what is missing does', () => {
    expect(covers({ a: 1, b: [{ c: 1, d: 2 }] }, { b: [{ c: 1 }] })).toBe(true);
    expect(covers({ b: [{ c: 1 }, { c: 2 }] }, { b: [{ c: 1 }] })).toBe(false);
    expect(covers({}, { a: undefined })).toBe(true);
    expect(covers(undefined, { a: 1 })).toBe(false);
  });

  test('a value covers itself, and the order of keys changes no fingerprint', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        expect(covers(value, value)).toBe(true);
        expect(fingerprint(Object.fromEntries(Object.entries(value).toReversed()))).toBe(fingerprint(value));
      }),
    );
  });
});

test('of mixed copies every daemon and the compute are told which segments are tails', () => {
  const cluster = makeCluster({ spec: { storage: { size: '10Gi', copies: 'Mixed' } } });
  const tails = (list: string): boolean[] => list.split(',').map((entry) => entry.endsWith('=tail'));
  const expected = [false, false, false, true, true, true];
  expect(tails(storagePeers(cluster))).toEqual(expected);
  expect(tails(storageAddresses(cluster, () => 'zone-a'))).toEqual(expected);
  expect(storagePeers(makeCluster())).not.toContain('=tail');
});

test('of mixed copies every daemon is told when a tail holds pages in a full segment’s place', () => {
  const waits = (storage: object): string | undefined =>
    storagePod(
      makeCluster({ spec: { storage: { size: '10Gi', ...storage } } }),
      { pg: 0, index: 3 },
      'zone-a',
      'image',
    ).spec.containers[0]?.env?.find(({ name }) => name === 'AURORA_STAND_IN_AFTER_SECONDS')?.value;
  expect(waits({ copies: 'Mixed' })).toBe('600');
  expect(waits({ copies: 'Mixed', standInAfterSeconds: 0 })).toBe('0');
  // There are no tails: a pod of before need not be made anew for it.
  expect(waits({ copies: 'Full', standInAfterSeconds: 60 })).toBeUndefined();
});
