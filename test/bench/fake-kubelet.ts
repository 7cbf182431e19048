import { createServer, type IncomingMessage, type Server as HttpServer, type ServerResponse } from 'node:http';
import { createServer as listenFor, type Server, type Socket } from 'node:net';
import { systemClock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { MutualTls, readMaterial, RefusalLog, type Material } from '@kube-aurora/tls';
import type { Registry } from '../../local-kube/src/api/registry.ts';
import { ANNOTATION, LABEL, PORT, settingsName, storageName, tlsSecretName } from '../../operator/src/api/names.ts';
import { segmentIds } from '../../operator/src/api/segment-id.ts';
import { settingsFingerprint, SETTINGS_KEY } from '../../operator/src/specs/settings-map.ts';

/**
 * A kubelet that starts nothing: a pod that the scheduler has placed runs and is ready at once, at an address of its own in 127.0.0.0/8, where its
 * `/status` is answered as the real program does whose pod it is. For benchmarks of what only sees pods from outside.
 */
interface FakePod {
  readonly name: string;
  readonly cluster: string;
  readonly namespace: string;
  readonly isCompute: boolean;
  readonly volumeId: string;
}

const LOOK_MS = 100;
/** Of a pod's number: below 127.96, where Services have theirs. */
const addressOf = (index: number): string => `127.40.${Math.floor(index / 250)}.${(index % 250) + 1}`;
const START = new Date().toISOString();

export class FakeKubelet {
  readonly #registry: Registry;
  readonly #pods = new Map<string, FakePod>();
  readonly #held = new Set<() => void>();
  readonly #sockets = new Set<Socket>();
  /** What takes connections of a pod, in TLS as the real program does. */
  readonly #acceptors = new Map<string, (socket: Socket) => void>();
  #servers: readonly Server[] = [];
  #timer: NodeJS.Timeout | undefined;
  #given = 0;
  #lsn = 0x2000000;
  /** Questions that were answered. */
  asked = 0;
  /** Clients write all the time: the volume's LSNs are others in every answer. */
  writing = false;

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  async start(): Promise<void> {
    this.#servers = await Promise.all(
      [PORT.agentStatus, PORT.storageStatus].map(
        (port) =>
          new Promise<Server>((resolve, reject) => {
            const http = createServer((request, response) => this.#answer(request, response));
            const server = listenFor((socket) => this.#acceptor(socket, http)(socket));
            server.once('error', reject);
            server.listen(port, '0.0.0.0', () => resolve(server));
          }),
      ),
    );
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const end of this.#held) end();
    for (const server of this.#servers) {
      server.close();
    }
    for (const socket of this.#sockets) socket.destroy();
  }

  #acceptor(socket: Socket, http: HttpServer): (socket: Socket) => void {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#sockets.delete(socket));
    const address = socket.localAddress ?? '';
    const key = `${address}:${socket.localPort}`;
    const known = this.#acceptors.get(key);
    if (known !== undefined) return known;
    const clock = systemClock();
    const tls = new MutualTls({
      material: () => this.#material(address),
      clock,
      refusals: new RefusalLog({ logger: silentLogger(), clock }),
    });
    const made = tls.acceptor({
      part: 'status',
      alpn: 'http/1.1',
      roles: ['operator'],
      admitted: (stream) => {
        stream.on('error', () => stream.destroy());
        http.emit('connection', stream);
      },
    });
    this.#acceptors.set(key, made);
    return made;
  }

  /** Of the Secret that the pod mounts. */
  #material(address: string): Material {
    const pod = this.#pods.get(address);
    const name = tlsSecretName(pod?.cluster ?? '', pod?.isCompute === true ? 'compute' : 'storage');
    const data = this.#registry.store.get('secrets', pod?.namespace ?? '', name)?.['data'] as Record<string, string> | undefined;
    const text = (file: string): string | undefined =>
      data?.[file] === undefined ? undefined : Buffer.from(data[file], 'base64').toString('utf8');
    const reading = readMaterial({ certificate: text('tls.crt'), key: text('tls.key'), authorities: text('ca.crt'), mode: undefined });
    if (reading.kind === 'unusable') throw new Error(`Secret ${name}: ${reading.problem}`);
    return reading.material;
  }

  #look(): void {
    const { store, catalog } = this.#registry;
    const pods = catalog.byStorage('pods');
    if (pods === undefined) return;
    for (const { metadata, ...pod } of store.list('pods')) {
      const { name, namespace = 'default', labels = {}, deletionTimestamp } = metadata;
      if (deletionTimestamp !== undefined) {
        this.#registry.remove(pods, namespace, name, { gracePeriodSeconds: 0 });
        continue;
      }
      const spec = pod['spec'] as {
        nodeName?: string;
        containers: { name: string; image: string; env?: { name: string; value?: string }[] }[];
      };
      const status = pod['status'] as { podIP?: string } | undefined;
      if (spec.nodeName === undefined || status?.podIP !== undefined) continue;
      const address = addressOf(this.#given++);
      const cluster = labels[LABEL.cluster] ?? '';
      const claim = store.get('persistentvolumeclaims', namespace, storageName(cluster, segmentIds[0] ?? { pg: 0, index: 0 }));
      const volumeId = claim?.metadata.annotations?.[ANNOTATION.volumeId] ?? '';
      this.#pods.set(address, { name, namespace, cluster, isCompute: labels[LABEL.component] === 'compute', volumeId });
      const at = new Date().toISOString();
      const conditions = ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'].map((type) => ({
        type,
        status: 'True',
        lastTransitionTime: at,
      }));
      const containerStatuses = spec.containers.map((container) => ({
        name: container.name,
        image: container.image,
        imageID: '',
        ready: true,
        started: true,
        restartCount: 0,
        state: { running: { startedAt: at } },
        lastState: {},
      }));
      const running = {
        phase: 'Running',
        podIP: address,
        podIPs: [{ ip: address }],
        hostIP: '127.0.0.1',
        startTime: at,
        conditions,
        containerStatuses,
      };
      this.#registry.change(pods, namespace, name, (live) => ({ ...live, status: running }), { manager: 'kubelet', subresource: 'status' });
    }
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const pod = this.#pods.get(request.socket.localAddress ?? '');
    const url = new URL(request.url ?? '/', 'http://pod');
    if (pod === undefined || url.pathname !== '/status') return void response.writeHead(404).end();
    this.asked += 1;
    if (this.writing) this.#lsn += 0x100;
    const send = (): void => {
      this.#held.delete(send);
      clearTimeout(timer);
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(pod.isCompute ? this.#agent(pod) : this.#daemon(pod)));
    };
    // An agent holds its answer back until it has another one.
    const waitMs = Number(url.searchParams.get('waitMs') ?? 0);
    const timer = setTimeout(send, waitMs);
    this.#held.add(send);
    response.on('close', () => {
      this.#held.delete(send);
      clearTimeout(timer);
    });
  }

  #text(): string {
    return `0/${this.#lsn.toString(16).toUpperCase()}`;
  }

  #agent({ name, namespace, cluster }: FakePod): object {
    const settings = this.#registry.store.get('configmaps', namespace, settingsName(cluster))?.['data'] as
      | Record<string, string>
      | undefined;
    const wanted = settingsFingerprint(settings?.[SETTINGS_KEY.wanted] ?? '');
    return {
      version: 'bench.1',
      instance: name,
      role: 'writer',
      phase: 'running',
      reason: 'none',
      message: '',
      since: START,
      startedAt: START,
      epoch: 1,
      vdl: this.#text(),
      promotionTier: 1,
      load: { connections: 4, cpuMillicores: 120, cpus: 2 },
      settings: { wanted, running: wanted, state: 'applied', message: '' },
      passwords: ['postgres', 'app'].map((role) => ({ role, state: 'applied', message: '' })),
      segments: segmentIds.map((segment) => ({ id: storageName(cluster, segment), state: 'live', scl: this.#text(), behindBytes: 0 })),
    };
  }

  #daemon({ name, volumeId }: FakePod): object {
    const segment = { volumeId, pg: 0, phase: 'READY', scl: this.#text(), vdl: this.#text(), bytesUsed: 48_234_496, fault: null };
    return { daemon: name, startedAt: START, segments: [segment] };
  }
}
