import { chmodSync, mkdirSync, rmSync, existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { isRunning, processMark, type Logger, type ProcessMark } from '@kube-aurora/process';
import { loadOrMakeIdentity, writeKubeconfig } from './api/certificates.ts';
import { Registry } from './api/registry.ts';
import { ServiceAccountTokens } from './api/service-account-tokens.ts';
import { serveApi } from './api/server.ts';
import { runDeployments } from './controllers/deployments.ts';
import { runDisruptionBudgets } from './controllers/disruption-budgets.ts';
import { runEndpoints } from './controllers/endpoints.ts';
import { EventRecorder } from './controllers/event-recorder.ts';
import { runEventTtl } from './controllers/event-ttl.ts';
import { runGarbageCollector } from './controllers/garbage-collector.ts';
import { make, runNamespaces } from './controllers/namespaces.ts';
import { runNodes } from './controllers/nodes.ts';
import { runReplicaSets } from './controllers/replica-sets.ts';
import { runScheduler } from './controllers/scheduler.ts';
import { runVolumes } from './controllers/volumes.ts';
import type { ImageMap } from './kubelet/image-map.ts';
import { Kubelet } from './kubelet/kubelet.ts';
import { logHandler } from './kubelet/logs.ts';
import { API_SERVICE_PORT, apiServiceAddress, chooseNetwork } from './network/network.ts';
import { runDnsTable } from './services/dns-table.ts';
import { runProxies } from './services/proxy.ts';
import { FileJournal } from './store/journal.ts';
import { Store } from './store/store.ts';
import { writeWhole } from './store/whole-file.ts';

export interface LocalKubeOptions {
  readonly dataDirectory: string;
  /** Where to write the kubeconfig; by default into the data directory. */
  readonly kubeconfig?: string | undefined;
  /** 0 takes a free one. */
  readonly port: number;
  readonly images: ImageMap;
  readonly zones: readonly string[];
  readonly logger: Logger;
  /** Where pods that run Node keep compiled code; by default in the data directory. */
  readonly compileCache?: string | undefined;
  /** Changes that a watch can resume from; small in tests. */
  readonly historyLimit?: number;
  /** Whether to run pods; tests of the API alone do without. */
  readonly runPods?: boolean;
}

export interface LocalKube {
  readonly url: string;
  readonly port: number;
  readonly kubeconfig: string;
  readonly registry: Registry;
  /** Ends pods gracefully, keeps everything they stored. */
  stop(): Promise<void>;
}

/** Another local-kube works in this data directory. */
export class AlreadyRunningError extends Error {}

const SERVICES = path.join(path.dirname(fileURLToPath(import.meta.url)), 'services');
/** As URLs: NODE_OPTIONS are cut at spaces. */
const CLUSTER_DNS = pathToFileURL(path.join(SERVICES, 'cluster-dns.mjs')).href;
const POD_NETWORK = pathToFileURL(path.join(SERVICES, 'pod-network.mjs')).href;
/** What a process may need of the environment that local-kube itself was started in. */
const PASSED_ON = ['PATH', 'LANG', 'LC_ALL', 'TZ', 'TMPDIR', 'USER'];

/** Brings up the whole control plane and the nodes. Resolves when kubectl can be used. */
export async function startLocalKube(options: LocalKubeOptions): Promise<LocalKube> {
  const { logger } = options;
  const home = path.resolve(options.dataDirectory);
  mkdirSync(home, { recursive: true, mode: 0o711 });
  // Processes that drop to another user pass through here to their volumes; everything secret below is closed by
  // itself.
  chmodSync(home, 0o711);
  const unlock = lock(path.join(home, 'lock'));
  const store = new Store(new FileJournal(path.join(home, 'state')), options.historyLimit);
  const held = await chooseNetwork(path.join(home, 'network'), home, store);
  const { network } = held;
  const registry = new Registry(store, { servicePrefix: network.servicePrefix });
  const recorder = new EventRecorder(registry);
  const identity = await loadOrMakeIdentity(path.join(home, 'identity'), Date.now());
  const tokens = new ServiceAccountTokens(path.join(home, 'identity'), store, registry.now);
  const hostsFile = path.join(home, 'run', 'hosts.json');
  const compileCache = path.resolve(options.compileCache ?? path.join(home, 'compile-cache'));
  let url = '';
  const kubelet = new Kubelet({
    registry,
    recorder,
    logger,
    images: options.images,
    dataDirectory: home,
    network,
    serviceAccountToken: (pod, source) => tokens.mounted(pod, source),
    writeKubeconfig: (pod, file) => writeKubeconfig(file, url, identity, pod.metadata.namespace),
    baseEnvironment: (pod) => ({
      ...Object.fromEntries(PASSED_ON.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]))),
      HOSTNAME: pod.spec.hostname ?? pod.metadata.name,
      KUBERNETES_SERVICE_HOST: apiServiceAddress(network),
      KUBERNETES_SERVICE_PORT: String(API_SERVICE_PORT),
      NODE_OPTIONS: `--import=${CLUSTER_DNS} --import=${POD_NETWORK}`,
      NODE_COMPILE_CACHE: compileCache,
      LOCAL_KUBE_HOSTS: hostsFile,
      LOCAL_KUBE_NAMESPACE: pod.metadata.namespace ?? 'default',
    }),
  });
  let server: Awaited<ReturnType<typeof serveApi>>;
  try {
    server = await serveOnKeptPort(path.join(home, 'port'), options.port, (port) =>
      serveApi({ registry, logs: logHandler(kubelet, registry.now), tokens, identity, port, logger }),
    );
  } catch (error) {
    held.release();
    store.close();
    unlock();
    throw error;
  }
  url = server.url;
  const kubeconfig = path.resolve(options.kubeconfig ?? path.join(home, 'kubeconfig'));
  writeKubeconfig(kubeconfig, url, identity);

  make(registry, undefined, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } });
  serveOwnService(registry, server.port, apiServiceAddress(network));
  const controllers = [
    runNamespaces(registry, logger, identity.ca),
    runGarbageCollector(registry, logger),
    runNodes(registry, recorder, logger, options.zones, network),
    runScheduler(registry, recorder, logger),
    runVolumes(registry, recorder, logger, path.join(home, 'volumes')),
    runEndpoints(registry, logger),
    runDisruptionBudgets(registry, recorder, logger),
    runReplicaSets(registry, recorder, logger),
    runDeployments(registry, recorder, logger),
    runEventTtl(registry),
    runDnsTable(registry, logger, hostsFile),
    runProxies(registry, recorder, logger),
  ];
  if (options.runPods !== false) kubelet.start();
  return {
    url,
    port: server.port,
    kubeconfig,
    registry,
    stop: async () => {
      await kubelet.stop(STOP_GRACE_MS);
      for (const controller of controllers) controller.stop();
      await server.close();
      store.close();
      held.release();
      unlock();
    },
  };
}

/**
 * A free port is chosen once: after a restart, clients that know the old one find the same. Somebody else may have
 * taken it meanwhile; then another is chosen.
 */
async function serveOnKeptPort<Server extends { readonly port: number }>(
  file: string,
  port: number,
  serve: (port: number) => Promise<Server>,
): Promise<Server> {
  const kept = port === 0 && existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0;
  const server = await serve(port === 0 ? kept : port).catch((error: unknown) => {
    const taken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
    if (kept === 0 || !taken) throw error;
    return serve(0);
  });
  if (port === 0) writeWhole(file, String(server.port));
  return server;
}

/** How long pods have to end when local-kube does. */
const STOP_GRACE_MS = 8_000;

/** The Service `kubernetes`, as every cluster has it. */
function serveOwnService(registry: Registry, port: number, clusterIP: string): void {
  const metadata = { name: 'kubernetes', namespace: 'default', labels: { component: 'apiserver', provider: 'kubernetes' } };
  make(registry, 'default', {
    apiVersion: 'v1',
    kind: 'Service',
    metadata,
    spec: { clusterIP, ports: [{ name: 'https', port: API_SERVICE_PORT, targetPort: port }] },
  });
  const endpoints = {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata,
    subsets: [{ addresses: [{ ip: '127.0.0.1' }], ports: [{ name: 'https', port, protocol: 'TCP' }] }],
  };
  make(registry, 'default', endpoints);
  const resource = registry.catalog.byKind('v1', 'Endpoints');
  if (resource !== undefined)
    registry.change(resource, 'default', 'kubernetes', (live) => ({ ...live, subsets: endpoints.subsets }), { manager: 'local-kube' });
}

/**
 * One local-kube a data directory: the file names the process and when it started, so that a stale one is recognised.
 */
function lock(file: string): () => void {
  if (existsSync(file)) {
    const mark = JSON.parse(readFileSync(file, 'utf8')) as ProcessMark;
    if (isRunning(mark))
      throw new AlreadyRunningError(
        `another local-kube (process ${mark.pid}) works in ${path.dirname(file)}; stop it, or give another --data-dir`,
      );
  }
  writeWhole(file, JSON.stringify(processMark(process.pid)));
  return () => rmSync(file, { force: true });
}
