import { authoritiesOf, PROGRAM_ROLES, type AuthorityState } from '@kube-aurora/identity';
import type { IssueContext, IssuedCertificate } from '@kube-aurora/identity/issue';
import { authoritySecret } from '../certificates/authority-secret.ts';
import { firstAuthority, issueFor } from '../certificates/issuing.ts';
import { leafIdentity, leafNames, leafSecret } from '../certificates/leaf-secret.ts';
import type { AuroraCluster } from '../api/types.ts';
import type { Secret } from '../kube/objects.ts';
import { clientServices } from '../specs/services.ts';
import { makeCluster, NOW } from './fixture-cluster.ts';

export const contextAt = (now: number): IssueContext => ({ now, random: (bytes) => new Uint8Array(bytes).fill(7) });

const DEMO = { namespace: 'default', cluster: 'demo' };

/** The authority of the cluster `demo`, an hour old. */
export const AUTHORITY: AuthorityState = await firstAuthority(DEMO, undefined, undefined, contextAt(NOW - 3_600_000));

/** What programs of `demo` show; its server is good for custom endpoints of these names too. */
export async function leavesOf(state: AuthorityState, now: number): Promise<ReadonlyMap<string, IssuedCertificate>> {
  const cluster = makeCluster({ spec: { endpoints: ['reports', 'any', 'batch'].map((name) => ({ name, type: 'Any', members: [] })) } });
  const services = new Map(clientServices(cluster).map((service) => [service.metadata.name, service]));
  const leaves = PROGRAM_ROLES.map(
    async (role) =>
      [role, (await issueFor(state, leafIdentity(cluster, role), leafNames(cluster, role, services), contextAt(now))).leaf] as const,
  );
  return new Map(await Promise.all(leaves));
}

export const LEAVES = await leavesOf(AUTHORITY, NOW - 3_600_000);

/** The Secrets with all certificates of the cluster `demo`. */
export function certificateSecrets(cluster: AuroraCluster, state: AuthorityState = AUTHORITY, leaves = LEAVES): readonly Secret[] {
  return [
    authoritySecret(cluster, state),
    ...PROGRAM_ROLES.flatMap((role) => {
      const leaf = leaves.get(role);
      return leaf === undefined ? [] : [leafSecret(cluster, role, leaf, authoritiesOf(state), { mode: 'require', sinceMs: 0 })];
    }),
  ];
}
