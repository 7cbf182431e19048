import type { BuildOptions } from 'esbuild';

/**
 * How a program of ours becomes one file of JavaScript. The first line lets the kernel start the file; CommonJS code in it wants what only
 * CommonJS files are given. `first` runs before anything of the program does.
 */
export function bundleOptions(interpreter: string, first = ''): BuildOptions & { readonly write: false; readonly metafile: true } {
  const banner = `#!${interpreter}
import { createRequire as bundleRequire } from 'node:module';
const require = bundleRequire(import.meta.url);
const { filename: __filename, dirname: __dirname } = import.meta;${first}`;
  return {
    write: false,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    banner: { js: banner },
    // Names in stack traces and in errors' names are the source's.
    keepNames: true,
    legalComments: 'none',
    metafile: true,
    logLevel: 'error',
  };
}
