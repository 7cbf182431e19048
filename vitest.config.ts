import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: [
      'packages/**/*.test.ts',
      'storage-daemon/**/*.test.ts',
      'compute-node/**/*.test.ts',
      'operator/**/*.test.ts',
      'local-kube/**/*.test.ts',
      'test/**/*.test.ts',
    ],
    // Many tests start real processes; two at a time is what a two-core machine bears without timing out.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    pool: 'forks',
  },
});
