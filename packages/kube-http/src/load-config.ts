import { KubeConfig } from '@kubernetes/client-node';

/**
 * The API server that a program speaks to: the kubeconfig that KUBECONFIG names; in a pod without it the pod's own ServiceAccount; otherwise the
 * kubeconfig of whoever runs it. Throws when the one that counts cannot be read.
 */
export function loadKubeConfig(environment: Readonly<Record<string, string | undefined>>): KubeConfig {
  const config = new KubeConfig();
  if ((environment['KUBECONFIG'] ?? '') === '' && environment['KUBERNETES_SERVICE_HOST'] !== undefined) config.loadFromCluster();
  else config.loadFromDefault();
  return config;
}
