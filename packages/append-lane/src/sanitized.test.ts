import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { expect, it } from 'vitest';
import { buildAppendLane } from '../native/build.mjs';
import { ADDON_VARIABLE } from './testing/lane-wire.ts';

const ROOT = path.join(import.meta.dirname, '..', '..', '..');
const TESTS = path.join(import.meta.dirname, 'lane-messages.test.ts');

/** In a process of its own: the sanitizers' library must be the first that is loaded. What Node itself keeps is no finding. */
it('whatever comes hurts no memory, by AddressSanitizer and UndefinedBehaviorSanitizer', () => {
  const library = buildAppendLane({ isSanitized: true });
  const runtime = spawnSync('cc', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).stdout.trim();
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('VITEST'));
  const env = { ...Object.fromEntries(inherited), LD_PRELOAD: runtime, ASAN_OPTIONS: 'detect_leaks=0', [ADDON_VARIABLE]: library };
  const vitest = path.join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
  const run = spawnSync(process.execPath, [vitest, 'run', '--pool=threads', '--maxWorkers=1', TESTS], { cwd: ROOT, env, encoding: 'utf8' });
  expect(run.status, run.stdout + run.stderr).toBe(0);
  expect(run.stdout).toMatch(/Tests .*4 passed/);
});
