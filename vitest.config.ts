import { defineConfig } from 'vitest/config';
import { SlowestFiles } from './test/slowest-files.ts';

const SHIM_TESTS = 'compute-node/src/postgres/shim-*.pg.test.ts';

export default defineConfig({
  test: {
    // Many tests start real processes; two at a time is what a two-core machine bears without timing out.
    maxWorkers: 2,
    pool: 'forks',
    reporters: ['default', new SlowestFiles()],
    projects: [
      {
        extends: true,
        test: {
          name: 'all',
          include: [
            'packages/**/*.test.ts',
            'storage-daemon/**/*.test.ts',
            'compute-node/**/*.test.ts',
            'operator/**/*.test.ts',
            'local-kube/**/*.test.ts',
            'deploy/images/**/*.test.ts',
            'docs/generate/*.test.ts',
            'helm/generate/*.test.ts',
            'test/**/*.test.ts',
          ],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        // The C shim once more, under AddressSanitizer and UndefinedBehaviorSanitizer.
        extends: true,
        test: {
          name: 'sanitized shim',
          include: [SHIM_TESTS],
          env: { AURORA_TEST_SANITIZED_SHIM: '1' },
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
