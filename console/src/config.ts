import { setting, type ConfigSchema } from '@kube-aurora/process';

/** The console's settings. Credentials come from KUBECONFIG, else from the pod's service account. */
export const configSchema = {
  watchNamespace: { env: 'WATCH_NAMESPACE', description: 'Namespace whose clusters are shown; empty: all.', type: setting.optionalText() },
  listen: {
    env: 'CONSOLE_LISTEN',
    description: 'host:port of the page, and of /healthz and /readyz.',
    type: setting.address('127.0.0.1:7005'),
  },
  access: {
    env: 'CONSOLE_ACCESS',
    description:
      'token: whoever looks sends a bearer token that may get auroraclusters. open: whoever reaches the port may look; for a port that others do not reach.',
    type: setting.choice(['token', 'open'], 'token'),
  },
  pageDirectory: {
    env: 'CONSOLE_PAGE_DIR',
    description: "Directory of the built page. Default: 'page' beside the program.",
    type: setting.optionalText(),
  },
} as const satisfies ConfigSchema;
