import type { Logger } from '@kube-aurora/process';
import { instant } from '../api/metadata.ts';
import type { Registry } from '../api/registry.ts';
import { groupResource } from '../api/errors.ts';
import { scaleOf } from '../api/scale.ts';
import { jsonEqual, numberAt, type OwnerReference } from '../store/object.ts';
import { budgetStatus, controllerOf, countBudget, type ControllerScale } from '../disruption/disruption-count.ts';
import { BUDGETS, podsOfBudget } from '../disruption/pods-of-budget.ts';
import type { EventRecorder } from './event-recorder.ts';
import { reconcileOn, type Running } from './reconcile.ts';

const COMPONENT = 'controllermanager';
/** How often granted evictions that led to nothing are looked at again. */
const RECHECK_MS = 30_000;

/** Keeps the status of PodDisruptionBudgets: how many pods may be taken now. */
export function runDisruptionBudgets(registry: Registry, recorder: EventRecorder, logger: Logger): Running {
  const { store } = registry;
  const reconcile = (): void => {
    const resource = registry.catalog.byStorage(BUDGETS);
    if (resource === undefined) return;
    for (const budget of store.list(BUDGETS)) {
      const { namespace, name } = budget.metadata;
      const pods = podsOfBudget(store, budget);
      const counted = countBudget(budget, pods, (controller) => scaleOfController(registry, controller, namespace), registry.now());
      const status = budgetStatus(budget, counted, instant(registry.now()));
      if (jsonEqual(budget['status'], status)) continue;
      registry.change(resource, namespace, name, (live) => ({ ...live, status }), { manager: COMPONENT, subresource: 'status' });
      if ('problem' in counted)
        recorder.record(
          budget,
          'Warning',
          'CalculateExpectedPodCountFailed',
          `Failed to calculate the number of expected pods: ${counted.problem}`,
          COMPONENT,
        );
      else if (counted.unmanaged)
        recorder.record(
          budget,
          'Warning',
          'UnmanagedPods',
          'Pods selected by this PodDisruptionBudget have no controller, so that its status cannot be calculated correctly. ' +
            'To account for these pods please set ".spec.minAvailable" field of the PDB to an integer value.',
          COMPONENT,
        );
      else if (pods.length === 0) recorder.record(budget, 'Normal', 'NoPods', 'No matching pods found', COMPONENT);
    }
  };
  const running = reconcileOn(
    store,
    logger,
    'disruption-budgets',
    // Any kind can be the controller of pods, and its scale is part of the count; what nobody controls or budgets is
    // skipped fast.
    (change) =>
      change.resource === 'pods' || change.resource === BUDGETS || registry.catalog.byStorage(change.resource)?.scale !== undefined,
    reconcile,
  );
  const recheck = setInterval(reconcile, RECHECK_MS).unref();
  return {
    stop: () => {
      clearInterval(recheck);
      running.stop();
    },
  };
}

/**
 * The scale of a pod's controller; of a ReplicaSet's Deployment when it has one. Undefined when the controller is not
 * there.
 */
function scaleOfController(registry: Registry, controller: OwnerReference, namespace: string | undefined): ControllerScale | undefined {
  const resource = registry.catalog.byKind(controller.apiVersion, controller.kind);
  if (resource === undefined) return { problem: `no matches for kind "${controller.kind}" in version "${controller.apiVersion}"` };
  if (resource.scale === undefined)
    return { problem: `${groupResource(resource.group, resource.plural)} does not implement the scale subresource` };
  const object = registry.store.get(resource.storage, namespace, controller.name);
  if (object === undefined || object.metadata.uid !== controller.uid) return undefined;
  const above = resource.storage === 'apps/replicasets' ? controllerOf(object.metadata.ownerReferences) : undefined;
  if (above?.kind === 'Deployment') return scaleOfController(registry, above, namespace);
  return { uid: controller.uid, replicas: numberAt(scaleOf(object, resource), 'spec', 'replicas') ?? 0 };
}
