import { existsSync } from 'node:fs';
import { KubeConfig } from '@kubernetes/client-node';
import { UsageError } from './errors.ts';

export interface Connection {
  readonly config: KubeConfig;
  /** Of the context; `default` where it names none. */
  readonly namespace: string;
}

/** The kubeconfig as kubectl finds it: the flag, $KUBECONFIG, ~/.kube/config, the pod that we are in. */
export function loadConnection(flags: { readonly kubeconfig?: string | undefined; readonly context?: string | undefined }): Connection {
  const config = new KubeConfig();
  const { kubeconfig, context } = flags;
  if (kubeconfig === undefined) config.loadFromDefault();
  else if (existsSync(kubeconfig)) config.loadFromFile(kubeconfig);
  else throw new UsageError(`stat ${kubeconfig}: no such file or directory`);
  if (context !== undefined) {
    if (config.getContextObject(context) === null) throw new UsageError(`context "${context}" does not exist`);
    config.setCurrentContext(context);
  }
  return { config, namespace: config.getContextObject(config.getCurrentContext())?.namespace ?? 'default' };
}
