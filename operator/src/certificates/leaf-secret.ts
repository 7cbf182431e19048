import {
  identityUri,
  isDue,
  readCertificate,
  readCertificates,
  type Certificate,
  type Identity,
  type ProgramRole,
} from '@kube-aurora/identity';
import type { IssuedCertificate } from '@kube-aurora/identity/issue';
import type { TlsMode } from '@kube-aurora/tls';
import { ANNOTATION, clusterLabels, instancesServiceName, storageServiceName, tlsSecretName } from '../api/names.ts';
import type { AuroraCluster } from '../api/types.ts';
import type { Secret, Service } from '../kube/objects.ts';
import { clusterNamespace, objectMetadata } from '../specs/metadata.ts';
import { decodeText, encodeText } from '../specs/secrets.ts';
import { readOnce } from './read-once.ts';
import { clientServices } from '../specs/services.ts';

/** Names that a certificate is to have beside the URI that says who it is. */
export interface LeafNames {
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
}

/** A Service's name in all the forms that a pod may use. */
function forms(host: string, namespace: string): readonly string[] {
  const near = `${host}.${namespace}`;
  return [host, near, `${near}.svc`, `${near}.svc.cluster.local`];
}

/** `*` stands for any pod of a headless Service: a certificate need not be another when instances come and go. */
function podForms(service: string, namespace: string): readonly string[] {
  return [...forms(service, namespace), ...forms(service, namespace).map((form) => `*.${form}`)];
}

/** `services`: as they are, with the addresses that they were given. */
export function leafNames(cluster: AuroraCluster, role: ProgramRole, services: ReadonlyMap<string, Service>): LeafNames {
  const { name } = cluster.metadata;
  const namespace = clusterNamespace(cluster);
  switch (role) {
    case 'storage':
      return { dnsNames: podForms(storageServiceName(name), namespace), ipAddresses: [] };
    case 'compute':
      return { dnsNames: podForms(instancesServiceName(name), namespace), ipAddresses: [] };
    case 'operator':
      return { dnsNames: [], ipAddresses: [] };
    case 'server': {
      const names = clientServices(cluster).map(({ metadata }) => metadata.name);
      const addresses = names
        .map((service) => services.get(service)?.spec.clusterIP ?? '')
        .filter((address) => !['', 'None'].includes(address));
      return {
        dnsNames: [
          ...names.flatMap((service) =>
            service === instancesServiceName(name) ? podForms(service, namespace) : forms(service, namespace),
          ),
          'localhost',
        ],
        ipAddresses: ['127.0.0.1', ...addresses],
      };
    }
  }
}

/** What a program's Secret holds, as far as it can be read. */
export interface LeafMaterial {
  readonly certificate: Certificate;
  /** PEM. */
  readonly key: string;
}

export const readLeafSecret = readOnce(({ data }: Secret): LeafMaterial | undefined => {
  const certificate = readCertificate(decodeText(data?.['tls.crt'] ?? ''));
  const key = decodeText(data?.['tls.key'] ?? '');
  return certificate === undefined || !certificate.hasKey(key) ? undefined : { certificate, key };
});

const bundleOf = readOnce(({ data }: Secret) => readCertificates(decodeText(data?.['ca.crt'] ?? '')));

/** How programs are to speak, and since when they are told so. */
export interface ToldMode {
  readonly mode: TlsMode;
  readonly sinceMs: number;
}

/** The Secret of a program: type kubernetes.io/tls, with what is believed beside it. */
export function leafSecret(
  cluster: AuroraCluster,
  role: ProgramRole,
  leaf: IssuedCertificate,
  believed: readonly Certificate[],
  { mode, sinceMs }: ToldMode,
): Secret {
  const { name } = cluster.metadata;
  const keys = {
    'tls.crt': leaf.certificate,
    'tls.key': leaf.key,
    'ca.crt': believed.map(({ pem }) => pem).join(''),
    ...(mode === 'require' ? {} : { mode }),
  };
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: objectMetadata(cluster, {
      name: tlsSecretName(name, role),
      labels: clusterLabels(name, role === 'storage' ? 'storage' : 'compute'),
      ...(mode === 'require' ? {} : { annotations: { [ANNOTATION.tlsModeSince]: new Date(sinceMs).toISOString() } }),
    }),
    type: 'kubernetes.io/tls',
    data: Object.fromEntries(Object.entries(keys).map(([key, text]) => [key, encodeText(text)])),
  };
}

export function leafIdentity(cluster: AuroraCluster, role: ProgramRole): Identity {
  return { namespace: clusterNamespace(cluster), cluster: cluster.metadata.name, role };
}

/** Why a program needs another certificate; undefined when the one it has does. For people. */
export function reissueBecause(
  live: Secret | undefined,
  {
    identity,
    names,
    issuer,
    now,
  }: { readonly identity: Identity; readonly names: LeafNames; readonly issuer: Certificate; readonly now: number },
): string | undefined {
  if (live === undefined) return 'it is not there';
  const leaf = readLeafSecret(live);
  if (leaf === undefined) return 'it holds no certificate with its key';
  const { certificate } = leaf;
  if (!certificate.isIssuedBy(issuer)) return 'another authority issues by now';
  if (certificate.uris.join() !== identityUri(identity)) return 'it says to be somebody else';
  const lacks =
    names.dnsNames.find((name) => !certificate.dnsNames.includes(name)) ??
    names.ipAddresses.find((ip) => !certificate.ipAddresses.includes(ip));
  if (lacks !== undefined) return `it lacks the name ${lacks}`;
  return isDue(certificate, now) ? 'two thirds of its time are over' : undefined;
}

/** Does it hold just what is believed? */
export function hasBundle(live: Secret, believed: readonly Certificate[]): boolean {
  const held = bundleOf(live);
  const prints = new Set(held.map(({ fingerprint }) => fingerprint));
  return held.length === believed.length && believed.every(({ fingerprint }) => prints.has(fingerprint));
}
