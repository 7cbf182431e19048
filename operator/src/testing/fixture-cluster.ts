import { withDefaults } from '../api/defaults.ts';
import { FINALIZER } from '../api/names.ts';
import type { AuroraCluster } from '../api/types.ts';
import type { AuroraClusterStatus } from '../api/status-types.ts';

/** Clusters as they are seen, for tests: a healthy one, to be changed one thing at a time. */
export const NOW = Date.parse('2026-11-21T12:00:00Z');
export const IMAGES = { storageDaemon: 'storage:1', computeNode: 'compute:1' };
export const VOLUME = '6f1c2f0e-8a53-4f0c-9a3e-1d2c3b4a5f60';

export function makeCluster(
  change: {
    spec?: Parameters<typeof withDefaults>[0];
    status?: AuroraClusterStatus;
    name?: string;
    annotations?: Record<string, string>;
  } = {},
): AuroraCluster {
  return {
    apiVersion: 'kube-aurora.dev/v1alpha1',
    kind: 'AuroraCluster',
    metadata: {
      name: change.name ?? 'demo',
      namespace: 'default',
      uid: VOLUME,
      generation: 2,
      finalizers: [FINALIZER],
      ...(change.annotations === undefined ? {} : { annotations: change.annotations }),
    },
    spec: withDefaults({ storage: { size: '10Gi' }, ...change.spec }),
    ...(change.status === undefined ? {} : { status: change.status }),
  };
}
