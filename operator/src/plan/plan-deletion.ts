import { FINALIZER } from '../api/names.ts';
import { isQuorum } from '../api/segment-id.ts';
import { isTerminating } from '../kube/objects.ts';
import { isOwnedBy } from '../specs/metadata.ts';
import type { Action, Plan } from './actions.ts';
import { EMPTY_PLAN, joinPlans } from './actions.ts';
import { isSegmentUp, type Observed } from '../observed/observed.ts';
import { overdue } from './pod-removal.ts';

/** Without a write quorum the last checkpoint cannot be stored: waiting for it would only take time. */
const HOPELESS_GRACE_SECONDS = 2;

/** Our finalizer keeps a deleted cluster until its computes are gone; before anything is made it has to be there. */
export function planHold(observed: Observed): Plan {
  if (observed.cluster.metadata.finalizers?.includes(FINALIZER) === true) return EMPTY_PLAN;
  return { ...EMPTY_PLAN, actions: [{ kind: 'hold-cluster' }] };
}

/** A protected cluster that was deleted goes on, and says how it can go. Kubernetes cannot take a deletion back. */
export function planProtection({ cluster, heldSince }: Observed): Plan {
  if (heldSince === undefined) return EMPTY_PLAN;
  const { name, namespace } = cluster.metadata;
  const message = `it was deleted at ${heldSince}, is protected by spec.deletionProtection, and goes on; Kubernetes cannot take a deletion back. To let it go: kubectl patch auroracluster ${name} -n ${namespace ?? 'default'} --type merge -p '{"spec":{"deletionProtection":false}}'`;
  return { ...EMPTY_PLAN, obstacles: [{ reason: 'DeletionProtected', message, blocking: false }] };
}

/**
 * A cluster that is being deleted: computes end first, so that PostgreSQL's last checkpoint reaches storage; then the
 * finalizer goes, and garbage collection takes the rest by its owner references. Nothing is healed any more.
 */
export function planDeletion(observed: Observed): Plan {
  const { cluster, computePods } = observed;
  if (cluster.metadata.finalizers?.includes(FINALIZER) !== true) return EMPTY_PLAN;
  const ours = computePods.filter((pod) => isOwnedBy(pod, cluster));
  if (ours.length === 0) return { ...EMPTY_PLAN, actions: [{ kind: 'release-cluster' }] };
  const hopeless = !isQuorum(cluster.spec.storage.copies, 'write', (segment) => isSegmentUp(observed, segment));
  return joinPlans(
    ours.map((pod) => {
      if (isTerminating(pod)) return overdue(observed, pod);
      const action: Action = {
        kind: 'delete-pod',
        pod,
        why: 'the cluster is being deleted; storage follows',
        ...(hopeless ? { gracePeriodSeconds: HOPELESS_GRACE_SECONDS } : {}),
      };
      return { ...EMPTY_PLAN, actions: [action] };
    }),
  );
}
