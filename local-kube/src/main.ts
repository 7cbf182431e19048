import path from 'node:path';
import { ConfigError, createLogger, readConfig, runMain, setting, Shutdown, type ConfigSchema } from '@kube-aurora/process';
import { DEFAULT_IMAGES, ImageMapError, readImageMap, type ImageMap } from './kubelet/image-map.ts';
import { AlreadyRunningError, startLocalKube, type LocalKube } from './local-kube.ts';

const SCHEMA = {
  dataDir: {
    env: 'LOCAL_KUBE_DATA_DIR',
    description: 'where state, volumes, logs and the kubeconfig are kept (default .kube-aurora/local-kube)',
    type: setting.optionalText(),
  },
  port: {
    env: 'LOCAL_KUBE_PORT',
    description: 'port of the API on 127.0.0.1 (default 6443); 0 takes a free one; of several, with commas between, the first that is free',
    type: setting.optionalText(),
  },
  images: {
    env: 'LOCAL_KUBE_IMAGES',
    description: 'JSON file that maps image names to {"command": […], "env": {…}} (default: kube-aurora itself)',
    type: setting.optionalText(),
  },
  kubeconfig: {
    env: 'LOCAL_KUBE_KUBECONFIG',
    description: 'where to write the kubeconfig (default: `kubeconfig` in the data directory)',
    type: setting.optionalText(),
  },
  zones: {
    env: 'LOCAL_KUBE_ZONES',
    description: 'zones, each with one node, separated by commas (default zone-a,zone-b,zone-c)',
    type: setting.optionalText(),
  },
} satisfies ConfigSchema;

function readPorts(text: string): number[] {
  return text.split(',').map((one) => {
    const port = Number(one);
    if (one.trim() === '' || !Number.isInteger(port) || port < 0 || port > 65_535)
      throw new ConfigError([`--port (LOCAL_KUBE_PORT) must be whole numbers from 0 to 65535 with commas between, not '${text}'`]);
    return port;
  });
}

function isTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
}

/** Starts on the first port that nobody has. */
async function onFirstFree(ports: readonly number[], startOn: (port: number) => Promise<LocalKube>): Promise<LocalKube> {
  for (const port of ports.slice(0, -1)) {
    try {
      return await startOn(port);
    } catch (error) {
      if (!isTaken(error)) throw error;
    }
  }
  return startOn(ports.at(-1) ?? 0);
}

const logger = createLogger('local-kube');

await runMain(logger, async () => {
  const config = readConfig(SCHEMA, process.env, process.argv.slice(2));
  const shutdown = new Shutdown(logger);
  let images: ImageMap = new Map();
  try {
    images = readImageMap(config.images ?? DEFAULT_IMAGES);
  } catch (error) {
    if (error instanceof ImageMapError || error instanceof SyntaxError || (error instanceof Error && 'code' in error))
      throw new ConfigError([`--images: ${error.message}`]);
    throw error;
  }
  const ports = readPorts(config.port ?? '6443');
  const startOn = (port: number): Promise<LocalKube> =>
    startLocalKube({
      dataDirectory: config.dataDir ?? path.join('.kube-aurora', 'local-kube'),
      port,
      images,
      kubeconfig: config.kubeconfig,
      // Ours and theirs stay apart: programs with other V8 flags do not take each other's code.
      compileCache: process.env['NODE_COMPILE_CACHE'] === undefined ? undefined : path.join(process.env['NODE_COMPILE_CACHE'], 'pods'),
      zones: (config.zones ?? 'zone-a,zone-b,zone-c').split(','),
      logger,
    });
  try {
    const kube = await onFirstFree(ports, startOn);
    shutdown.add('local-kube', () => kube.stop(), 20_000);
    shutdown.onSignals();
    logger.info({ url: kube.url, kubeconfig: kube.kubeconfig, images: [...images.keys()] }, 'ready');
  } catch (error) {
    if (error instanceof AlreadyRunningError) throw new ConfigError([error.message]);
    if (isTaken(error))
      throw new ConfigError([`--port (LOCAL_KUBE_PORT): ${ports.join(', ')} on 127.0.0.1 is taken; choose another, or 0 for a free one`]);
    throw error;
  }
});
