import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Logger } from '@kube-aurora/process';
import type { Registry } from '../api/registry.ts';
import { reconcileOn, type Running } from '../controllers/reconcile.ts';
import type { Service } from '../kinds.ts';
import { arrayAt, stringAt } from '../store/object.ts';
import type { Store } from '../store/store.ts';

/**
 * Names of the cluster to addresses: `service.namespace.svc`, and `hostname.service.namespace.svc` of pods behind
 * headless Services.
 */
export type HostsTable = { [name: string]: string[] };

/** https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/ */
export function hostsTable(store: Store): HostsTable {
  const table: HostsTable = {};
  for (const object of store.list('services')) {
    const service = object as Service;
    const { name, namespace = 'default' } = service.metadata;
    const domain = `${name}.${namespace}.svc`;
    const ip = service.spec.clusterIP;
    if (ip !== undefined && ip !== 'None' && ip !== '') {
      table[domain] = [ip];
      continue;
    }
    const addresses = arrayAt(store.get('endpoints', namespace, name), 'subsets').flatMap((subset) => arrayAt(subset, 'addresses'));
    table[domain] = addresses.map((address) => stringAt(address, 'ip') ?? '');
    for (const address of addresses) {
      const hostname = stringAt(address, 'hostname');
      if (hostname !== undefined) table[`${hostname}.${domain}`] = [stringAt(address, 'ip') ?? ''];
    }
  }
  return table;
}

/** Keeps the table in a file, which `cluster-dns.mjs` reads in every Node process of a pod. */
export function runDnsTable(registry: Registry, logger: Logger, file: string): Running {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o711 });
  let written = '';
  return reconcileOn(
    registry.store,
    logger,
    'dns-table',
    (change) => change.resource === 'services' || change.resource === 'endpoints',
    () => {
      const text = JSON.stringify(hostsTable(registry.store), undefined, 1);
      if (text === written) return;
      writeFileSync(`${file}.partial`, text, { mode: 0o644 });
      renameSync(`${file}.partial`, file);
      written = text;
    },
  );
}
