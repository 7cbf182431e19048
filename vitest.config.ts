import { defineConfig } from 'vitest/config';
import { SlowestFiles } from './test/slowest-files.ts';

const SHIM_TESTS = 'compute-node/src/postgres/shim-*.pg.test.ts';
/** Tests beside the code of each part. */
const PARTS = [
  'packages',
  'storage-daemon',
  'compute-node',
  'operator',
  'local-kube',
  'kubectl-aurora',
  'console',
  'deploy/images',
  'docs/generate',
  'helm/{generate,from-bitnami}',
];
/** Those that start a PostgreSQL, or a control plane with its pods. */
const STARTS_MORE = '**/*.{pg,kube}.test.ts';
/**
 * What a test waits for is there in milliseconds on a quiet machine, and late on a busy one: these end only what never comes. They count in
 * each project for itself.
 */
const TIMEOUTS = { testTimeout: 60_000, hookTimeout: 120_000, expect: { poll: { timeout: 30_000 } } };

export default defineConfig({
  // The console's page, rendered in Node.
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  test: {
    // Many tests start real processes; two at a time is what a two-core machine bears without timing out.
    maxWorkers: 2,
    pool: 'forks',
    reporters: ['default', new SlowestFiles()],
    projects: [
      {
        // One process runs many of these files, which load the same code: a process for each would take as long again.
        extends: true,
        test: {
          name: 'parts',
          include: PARTS.map((part) => `${part}/**/*.test.{ts,tsx}`),
          exclude: [STARTS_MORE, '**/node_modules/**'],
          isolate: false,
          ...TIMEOUTS,
        },
      },
      {
        extends: true,
        test: { name: 'systems', include: [STARTS_MORE, 'test/**/*.test.ts'], ...TIMEOUTS },
      },
      {
        // The C shim once more, under AddressSanitizer and UndefinedBehaviorSanitizer.
        extends: true,
        test: { name: 'sanitized shim', include: [SHIM_TESTS], env: { AURORA_TEST_SANITIZED_SHIM: '1' }, ...TIMEOUTS },
      },
    ],
  },
});
