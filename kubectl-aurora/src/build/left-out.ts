import type { Plugin } from 'esbuild';

/**
 * What the bundle leaves out of Kubernetes' client library: we read kubeconfigs with it and forward ports, and speak to the API server ourselves.
 * Its classes for every kind of object, and the HTTP client that those use, are most of the program and of what it takes to start. What is
 * asked for all the same throws, and says so; a name that is wanted and not here fails the build.
 */
const LIBRARY = '@kubernetes/client-node';
const TAKEN = ['config.js', 'portforward.js'];
const LEFT_OUT: Readonly<Record<string, readonly string[]>> = {
  './gen/index.js': ['createConfiguration', 'ServerConfiguration', 'AppsV1Api', 'CoreV1Api'],
  undici: ['Agent', 'ProxyAgent'],
};

const NAMESPACE = 'left-out';
const OF_LIBRARY = new RegExp(`/${LIBRARY}/dist/[^/]+$`);

const missing = (names: readonly string[]): string =>
  names.map((name) => `export function ${name}() { throw new TypeError('${name} is not part of kubectl-aurora'); }`).join('\n');

export function leftOut(): Plugin {
  return {
    name: NAMESPACE,
    setup: (build) => {
      build.onResolve({ filter: new RegExp(`^${LIBRARY}$`) }, async ({ path, importer, resolveDir, kind, pluginData }) => {
        if (pluginData === NAMESPACE) return undefined;
        const whole = await build.resolve(path, { importer, resolveDir, kind, pluginData: NAMESPACE });
        const parts = TAKEN.map((name) => `export * from ${JSON.stringify(whole.path.replace(/[^/]+$/, name))};`);
        return { path, namespace: NAMESPACE, pluginData: parts.join('\n') };
      });
      build.onResolve({ filter: /^undici$|^\.\/gen\/index\.js$/ }, ({ path, importer }) =>
        OF_LIBRARY.test(importer) ? { path, namespace: NAMESPACE, pluginData: missing(LEFT_OUT[path] ?? []) } : undefined,
      );
      build.onLoad({ filter: /./, namespace: NAMESPACE }, ({ pluginData }) => ({ contents: String(pluginData), resolveDir: '/' }));
    },
  };
}
