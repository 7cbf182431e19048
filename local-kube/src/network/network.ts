import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import net from 'node:net';
import { stringAt, type JsonObject, type KubeObject } from '../store/object.ts';
import type { Store } from '../store/store.ts';
import { writeWhole } from '../store/whole-file.ts';

/**
 * The addresses of one local-kube, all within 127.0.0.0/8, which Linux's loopback answers without any setup: Services
 * get 127.(96+n).0.0/16, pods 127.(128+n).(64*node).0/18. `n` sets apart the local-kubes of one machine.
 */
export interface Network {
  readonly servicePrefix: string;
  readonly podPrefix: string;
}

const SLOTS = 32;
/** The Service `kubernetes` has this port on the first address. */
export const API_SERVICE_PORT = 6443;
/**
 * Whoever listens here, on the first address, has the slot: from the choice on, while its Services are not there yet.
 */
const SLOT_PORT = 6442;

/** A network that is ours until it is released. */
export interface HeldNetwork {
  readonly network: Network;
  release(): void;
}

export function networkOf(slot: number): Network {
  return { servicePrefix: `127.${96 + slot}.`, podPrefix: `127.${128 + slot}.` };
}

export function apiServiceAddress(network: Network): string {
  return `${network.servicePrefix}0.1`;
}

/** The nth address for pods of a node; the first is 2. */
export function podAddress(network: Network, node: number, index: number): string {
  return `${network.podPrefix}${node * 64 + (index >> 8)}.${index & 0xff}`;
}

/**
 * The slot that this data directory has always had, or a free one: by the directory's name, so that it stays the same
 * when the data is deleted, else the next. Remembered in `file`.
 */
export async function chooseNetwork(file: string, dataDirectory: string, store: Store): Promise<HeldNetwork> {
  const kept = existsSync(file) ? Number(readFileSync(file, 'utf8')) : undefined;
  const preferred = createHash('sha256').update(dataDirectory).digest().readUInt16LE(0) % SLOTS;
  const first = kept ?? preferred;
  for (let step = 0; step < SLOTS; step += 1) {
    const slot = (first + step) % SLOTS;
    const network = networkOf(slot);
    const holder = await listen(apiServiceAddress(network), SLOT_PORT);
    if (holder === undefined) continue;
    // What a local-kube that was killed has left may still serve there.
    const service = await listen(apiServiceAddress(network), API_SERVICE_PORT);
    if (service === undefined) {
      holder.close();
      continue;
    }
    service.close();
    writeWhole(file, String(slot));
    if (kept !== undefined && kept !== slot) renumber(store, networkOf(kept), network);
    return { network, release: () => holder.close() };
  }
  throw new Error(`all ${SLOTS} address ranges (127.96.0.0/16 and on) are taken by other local-kubes; stop one`);
}

/** Undefined when somebody else listens there. */
function listen(host: string, port: number): Promise<net.Server | undefined> {
  return new Promise((resolve) => {
    const server = net.createServer((socket) => socket.destroy()).unref();
    server.once('error', () => resolve(undefined));
    server.listen({ host, port }, () => resolve(server));
  });
}

/** Another local-kube took this one's range while it was stopped: Services and pods move to the new one. */
function renumber(store: Store, from: Network, to: Network): void {
  for (const service of store.list('services')) {
    const ip = stringAt(service, 'spec', 'clusterIP');
    if (ip?.startsWith(from.servicePrefix) !== true) continue;
    const clusterIP = `${to.servicePrefix}${ip.slice(from.servicePrefix.length)}`;
    store.put('services', { ...service, spec: { ...(service['spec'] as JsonObject), clusterIP, clusterIPs: [clusterIP] } });
  }
  for (const pod of store.list('pods')) {
    const { podIP: _ip, podIPs: _ips, ...status } = (pod['status'] ?? {}) as JsonObject;
    const moved: KubeObject = { ...pod, status };
    store.put('pods', moved);
  }
}
