import net from 'node:net';
import type { Logger } from '@kube-aurora/process';
import type { Registry } from '../api/registry.ts';
import type { EventRecorder } from '../controllers/event-recorder.ts';
import { reconcileOn, type Running } from '../controllers/reconcile.ts';
import type { Service } from '../kinds.ts';
import { arrayAt, numberAt, stringAt, type KubeObject } from '../store/object.ts';

interface Backend {
  readonly ip: string;
  readonly port: number;
}

/** An address that could not be taken is tried again after this long. */
const RETRY_MS = 5_000;

/** Ready backends of one port of a Service, from its Endpoints. */
export function backendsOf(endpoints: KubeObject | undefined, portName: string | undefined): Backend[] {
  return arrayAt(endpoints, 'subsets').flatMap((subset) => {
    const port = arrayAt(subset, 'ports').find((one) => (stringAt(one, 'name') ?? '') === (portName ?? ''));
    const number = numberAt(port, 'port');
    return number === undefined ? [] : arrayAt(subset, 'addresses').map((address) => ({ ip: stringAt(address, 'ip') ?? '', port: number }));
  });
}

/**
 * Listens on one address of a Service and carries each new connection to a ready backend, in turn. As with kube-proxy,
 * connections that exist are left alone whatever becomes of their backend's readiness: they end when one of their ends
 * does. While there is no ready backend nobody listens, so that clients are refused instead of being let in and cut
 * off.
 */
export class PortProxy {
  readonly #host: string;
  readonly #port: number;
  readonly #failed: (error: Error) => void;
  readonly #connections = new Set<net.Socket>();
  #server: net.Server | undefined;
  #backends: readonly Backend[] = [];
  #turn = 0;

  constructor(host: string, port: number, failed: (error: Error) => void) {
    this.#host = host;
    this.#port = port;
    this.#failed = failed;
  }

  update(backends: readonly Backend[]): void {
    this.#backends = backends;
    if (backends.length === 0) this.#refuse();
    else if (this.#server === undefined) this.#listen();
  }

  close(): void {
    this.#refuse();
    for (const socket of this.#connections) socket.destroy();
  }

  #listen(): void {
    // Half-open connections stay possible: some protocols end one direction first.
    this.#server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
    this.#server.on('error', this.#failed);
    this.#server.listen({ host: this.#host, port: this.#port });
  }

  #refuse(): void {
    this.#server?.close();
    this.#server = undefined;
  }

  #accept(client: net.Socket): void {
    const backend = this.#backends[this.#turn % Math.max(1, this.#backends.length)];
    this.#turn += 1;
    if (backend === undefined) {
      client.resetAndDestroy();
      return;
    }
    const server = net.connect({ host: backend.ip, port: backend.port, noDelay: true, allowHalfOpen: true });
    this.#connections.add(client);
    client.on('close', () => {
      this.#connections.delete(client);
      server.destroy();
    });
    server.on('close', () => client.destroy());
    client.on('error', () => server.resetAndDestroy());
    server.on('error', () => client.resetAndDestroy());
    client.pipe(server);
    server.pipe(client);
  }
}

/** Keeps a TCP proxy on `clusterIP:port` for every Service that has an address. */
export function runProxies(registry: Registry, recorder: EventRecorder, logger: Logger): Running {
  const { store } = registry;
  const proxies = new Map<string, PortProxy>();
  /** Addresses that could not be taken, until they are tried again. */
  const blocked = new Map<string, NodeJS.Timeout>();
  const reconcile = (): void => {
    const wanted = new Set<string>();
    for (const object of store.list('services')) {
      const service = object as Service;
      const ip = service.spec.clusterIP;
      if (ip === undefined || ip === 'None' || ip === '') continue;
      const endpoints = store.get('endpoints', service.metadata.namespace, service.metadata.name);
      for (const port of service.spec.ports ?? []) {
        if ((port.protocol ?? 'TCP') !== 'TCP') continue;
        const key = `${ip}:${port.port}`;
        wanted.add(key);
        let proxy = proxies.get(key);
        if (blocked.has(key)) continue;
        if (proxy === undefined) proxies.set(key, (proxy = open(ip, port.port, key, object)));
        proxy.update(backendsOf(endpoints, port.name));
      }
    }
    for (const [key, proxy] of proxies) {
      if (wanted.has(key)) continue;
      proxies.delete(key);
      proxy.close();
    }
  };
  const open = (ip: string, port: number, key: string, service: KubeObject): PortProxy =>
    new PortProxy(ip, port, (error) => {
      logger.warn({ err: error, address: key }, "a Service's address cannot be taken");
      recorder.record(service, 'Warning', 'ListenFailed', `cannot listen on ${key}: ${error.message}`, 'service-proxy');
      proxies.get(key)?.close();
      proxies.delete(key);
      const retry = (): void => {
        blocked.delete(key);
        reconcile();
      };
      blocked.set(key, setTimeout(retry, RETRY_MS));
    });
  const running = reconcileOn(
    store,
    logger,
    'service-proxies',
    (change) => change.resource === 'services' || change.resource === 'endpoints',
    reconcile,
  );
  return {
    stop: () => {
      running.stop();
      for (const timer of blocked.values()) clearTimeout(timer);
      for (const proxy of proxies.values()) proxy.close();
    },
  };
}
