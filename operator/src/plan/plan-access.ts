import { LABEL, readWriteServiceName, tlsSecretName, storageServiceName } from '../api/names.ts';
import { isTerminating, type Service } from '../kube/objects.ts';
import { RESOURCE } from '../kube/resources.ts';
import { covers, hasMetadata, isOwnedBy } from '../specs/metadata.ts';
import {
  appCredentials,
  connectionSecret,
  secretPassword,
  SERVER_CA_KEY,
  superuserCredentials,
  TOKEN_KEYS,
  tokenKeys,
} from '../specs/secrets.ts';
import { clientServices, storageService } from '../specs/services.ts';
import type { Action, Obstacle, Plan } from './actions.ts';
import { writerOf } from './plan-instances.ts';
import type { Observed } from '../observed/observed.ts';

/**
 * Endings of the Services without which there is no cluster: others whose names are taken are told of, and left out.
 */
const VITAL: ReadonlySet<string> = new Set([readWriteServiceName(''), storageServiceName('')]);

/** Services and Secrets: how clients and pods find the cluster and log in. */
export function planAccess(observed: Observed): Plan {
  const { cluster } = observed;
  const actions: Action[] = [];
  const obstacles: Obstacle[] = [];
  for (const service of [...clientServices(cluster, writerOf(observed).pod), storageService(cluster)]) {
    const live: Service | undefined = observed.services.get(service.metadata.name);
    if (live !== undefined && (isTerminating(live) || (hasMetadata(live.metadata, service.metadata) && covers(live.spec, service.spec))))
      continue;
    const isVital = VITAL.has(service.metadata.name.slice(cluster.metadata.name.length));
    actions.push({ kind: 'apply', resource: RESOURCE.services, object: service, live, ...(isVital ? {} : { blocking: false }) });
  }
  for (const service of observed.services.values()) {
    const endpoint = service.metadata.labels?.[LABEL.endpoint];
    const isWanted = endpoint === undefined || cluster.spec.endpoints.some(({ name }) => name === endpoint);
    if (!isWanted && !isTerminating(service) && isOwnedBy(service, cluster))
      actions.push({ kind: 'delete-service', service, why: 'spec.endpoints has it no more' });
  }
  const serverCa = observed.secrets.get(tlsSecretName(cluster.metadata.name, 'server'))?.data?.[SERVER_CA_KEY];
  const clientCa = cluster.spec.certificates.clientCASecret?.name;
  if (clientCa !== undefined && observed.secrets.get(clientCa)?.data?.[SERVER_CA_KEY] === undefined) {
    obstacles.push({
      reason: 'CertificateTrouble',
      message: `Secret ${clientCa} ${observed.secrets.has(clientCa) ? "has no key 'ca.crt'" : 'does not exist'}; make it with: kubectl create secret generic ${clientCa} --from-file=ca.crt=FILE`,
      blocking: false,
    });
  }
  for (const credentials of [superuserCredentials(cluster), appCredentials(cluster)]) {
    const live = observed.secrets.get(credentials.secretName);
    if (!credentials.generated) {
      if (live === undefined || secretPassword(live) === undefined) {
        obstacles.push({
          reason: 'SecretMissing',
          message: `Secret ${credentials.secretName} ${live === undefined ? 'does not exist' : 'has no password'}; make it with: kubectl create secret generic ${credentials.secretName} --type=kubernetes.io/basic-auth --from-literal=username=${credentials.username} --from-literal=password=...`,
          blocking: false,
        });
      }
      continue;
    }
    if (live === undefined) {
      actions.push({ kind: 'create-secret', credentials, serverCa });
      continue;
    }
    const password = secretPassword(live);
    if (isTerminating(live) || password === undefined) continue;
    const made = connectionSecret(cluster, credentials, password, serverCa);
    // Never when it is made: only what was applied goes with the next apply that leaves it out.
    const desired = { ...made, data: { ...made.data, ...tokenKeys(cluster, credentials) } };
    const isStale = Object.values(TOKEN_KEYS).some((key) => live.data?.[key] !== undefined && desired.data[key] === undefined);
    if (isStale || !hasMetadata(live.metadata, desired.metadata) || !covers(live.data, desired.data)) {
      actions.push({ kind: 'apply', resource: RESOURCE.secrets, object: desired, live });
    }
  }
  return { actions, obstacles, outdated: [] };
}
