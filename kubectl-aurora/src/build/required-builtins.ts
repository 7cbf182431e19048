import { isBuiltin } from 'node:module';
import type { Plugin } from 'esbuild';

const NAMESPACE = 'required-builtins';

/**
 * Node's own modules come by `require`. An `import` of one reads everything that it exports, and what `node:http` exports beside its own is an
 * HTTP client of half a megabyte, which is compiled for that: a third of all that `status` takes on a processor.
 */
export function requiredBuiltins(): Plugin {
  return {
    name: NAMESPACE,
    setup: (build) => {
      build.onResolve({ filter: /./ }, ({ path, kind }) =>
        kind !== 'require-call' && isBuiltin(path) ? { path, namespace: NAMESPACE } : undefined,
      );
      build.onLoad({ filter: /./, namespace: NAMESPACE }, ({ path }) => ({
        contents: `module.exports = require(${JSON.stringify(path)});`,
      }));
    },
  };
}
