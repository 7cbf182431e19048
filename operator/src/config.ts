import { setting, type ConfigSchema } from '@kube-aurora/process';

/** The operator's settings. Credentials come from KUBECONFIG, else from the pod's service account. */
export const configSchema = {
  watchNamespace: { env: 'WATCH_NAMESPACE', description: 'Namespace whose clusters are run; empty: all.', type: setting.optionalText() },
  operatorNamespace: {
    env: 'OPERATOR_NAMESPACE',
    description: 'Namespace of the operator itself, for its Lease. Default: default.',
    type: setting.optionalText(),
  },
  leaderElection: {
    env: 'LEADER_ELECTION',
    description: 'on: of several operators one works at a time. off: this is the only one.',
    type: setting.choice(['on', 'off'], 'on'),
  },
  identity: {
    env: 'POD_NAME',
    description: 'Name of this operator in the Lease; unique among operators. Made up when absent.',
    type: setting.optionalText(),
  },
  leaseName: {
    env: 'LEASE_NAME',
    description: 'Name of the Lease: operators that stand in for one another share it. Default: kube-aurora-operator.',
    type: setting.optionalText(),
  },
  storageDaemonImage: {
    env: 'STORAGE_DAEMON_IMAGE',
    description: 'Image of storage pods whose manifest names none. Default kube-aurora/storage-daemon.',
    type: setting.optionalText(),
  },
  computeNodeImage: {
    env: 'COMPUTE_NODE_IMAGE',
    description: 'Image of compute pods whose manifest names none. Default kube-aurora/compute-node.',
    type: setting.optionalText(),
  },
  metricsListen: {
    env: 'METRICS_LISTEN',
    description: 'host:port of /metrics, /healthz, /readyz and /status.',
    type: setting.address('127.0.0.1:7000'),
  },
  deletionProtection: {
    env: 'DELETION_PROTECTION',
    description:
      'policy: the API server refuses to delete clusters with spec.deletionProtection, by a ValidatingAdmissionPolicy. finalizer: it has none, and the operator holds them by its finalizer.',
    type: setting.choice(['policy', 'finalizer'], 'policy'),
  },
  resyncSeconds: {
    env: 'RESYNC_SECONDS',
    description: 'Every cluster is looked at this often although nothing was heard of it.',
    type: setting.integer(1, 86_400, 300),
  },
  certificateSpreadSeconds: {
    env: 'CERTIFICATE_SPREAD_SECONDS',
    description: 'Seconds after which every pod has seen a change of a Secret that it mounts: so long each step of a rotation lasts.',
    type: setting.integer(1, 86_400, 300),
  },
  tokenReviewer: {
    env: 'TOKEN_REVIEWER',
    description:
      'ServiceAccount in the namespace of the operator that may review tokens and nothing else: computes are given tokens of it. Empty: nobody logs in by a token.',
    type: setting.optionalText(),
  },
  concurrency: { env: 'CONCURRENCY', description: 'Clusters worked on at the same time.', type: setting.integer(1, 64, 4) },
} as const satisfies ConfigSchema;
