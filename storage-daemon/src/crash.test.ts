import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemDisk } from './disk/system-disk.ts';
import type { GivenKeys } from './segment/segment-key.ts';
import { CrashScenario } from './testing/crash-scenario.ts';
import { STEPS, type ScenarioStep } from './testing/crash-steps.ts';
import { testKeys } from './testing/test-keys.ts';
import { diskError, FaultDisk, unsyncedDisk, type DiskOperation } from './testing/fault-disk.ts';

/**
 * A segment whose process dies before each of its writes, in turn, and in the middle of each write to a file. After the
 * next start it must have what it said it has, and from there come to the same pages, state and stored keys as one that
 * never died.
 */

let directory: string;

beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), 'aurora-crash-'));
});
afterEach(() => fs.rmSync(directory, { recursive: true, force: true }));

/** A disk that dies before its change number `count`; torn: half of that write is made. */
function dyingDisk(count: number, torn: boolean): { readonly disk: FaultDisk; readonly died: () => DiskOperation | undefined } {
  let changes = 0;
  let died: DiskOperation | undefined;
  const disk = new FaultDisk(unsyncedDisk(systemDisk()), (operation) => {
    if (died === undefined && changes++ < count) return undefined;
    const isFirst = died === undefined;
    died ??= operation;
    return { error: diskError('EIO'), ...(isFirst && torn ? { written: Math.floor(operation.bytes / 2) } : {}) };
  });
  return { disk, died: () => died };
}

/** What the segment holds once it has all of the volume's log, as far as the step has brought it. */
interface Look extends Awaited<ReturnType<CrashScenario['held']>> {
  readonly pages: (string | undefined)[];
}

async function look(scenario: CrashScenario): Promise<Look> {
  await scenario.feed();
  await scenario.apply();
  return { pages: await scenario.pages(), ...(await scenario.held()) };
}

/**
 * Starts a segment, takes one step, and looks; where the disk dies on the way, starts again on a sound disk and takes
 * the step anew.
 */
async function live(scenario: CrashScenario, step: ScenarioStep, disk: FaultDisk, died: () => unknown): Promise<Look> {
  const sound = new FaultDisk(unsyncedDisk(systemDisk()), () => undefined);
  scenario.isOver = () => scenario.disk === disk && died() !== undefined;
  step.prepare?.(scenario);
  const attempt = async (): Promise<Look> => {
    await step.take(scenario);
    const seen = await look(scenario);
    await scenario.close();
    if (scenario.isOver()) throw new Error('the disk is gone');
    return seen;
  };
  try {
    await scenario.open(disk);
    return await attempt();
  } catch (error) {
    if (died() === undefined) throw error;
    await scenario.close().catch(() => undefined);
    await disk.abandon();
    await scenario.open(sound);
    scenario.check();
    // All that it has, read again bit by bit.
    if (scenario.said.ready) {
      await scenario.feed();
      await scenario.apply();
    }
    return await attempt();
  } finally {
    await scenario.close().catch(() => undefined);
    await disk.abandon();
    await sound.abandon();
  }
}

/** A segment that has taken the steps before one, undisturbed, and what it holds once it took that one too. */
async function beforeStep(step: ScenarioStep, index: number, name: string, keys: GivenKeys | undefined) {
  const start = new CrashScenario(join(directory, name), systemDisk());
  start.keys = keys;
  fs.mkdirSync(start.directory);
  for (const before of STEPS.slice(0, index)) {
    const { disk, died } = dyingDisk(Infinity, false);
    await live(start, before, disk, died);
  }
  const { disk, died } = dyingDisk(Infinity, false);
  return { start, whole: await live(start.fork(join(directory, `${name}-whole`), disk), step, disk, died) };
}

describe('a segment whose process dies before any of its writes, or in the middle of one, has all that it promised and comes to the same end', () => {
  it.each(STEPS.map((step, index) => ({ name: step.name, index })))(
    '$name',
    async ({ index }) => {
      const step = STEPS[index];
      if (step === undefined) throw new Error('no such step');
      // As it is, and encrypted: in turns.
      const forms = [await beforeStep(step, index, 'plain', undefined), await beforeStep(step, index, 'encrypted', testKeys(1))] as const;
      let count = 0;
      for (let isOver = false; !isOver; count++) {
        const { start, whole } = forms[count % 2] ?? forms[0];
        for (const torn of [false, true]) {
          const dying = dyingDisk(count, torn);
          const run = start.fork(join(directory, `run-${count}-${torn}`), dying.disk);
          let seen: Look;
          try {
            seen = await live(run, step, dying.disk, dying.died);
          } catch (cause) {
            const at = dying.died();
            throw new Error(`died ${torn ? 'in the middle of' : 'before'} change ${count} (${at?.kind} ${at?.path})`, { cause });
          }
          expect({ count, torn, ...seen }).toEqual({ count, torn, ...whole });
          fs.rmSync(run.directory, { recursive: true });
          isOver = dying.died() === undefined;
          if (isOver || dying.died()?.kind !== 'write') break;
        }
      }
      expect(count).toBeGreaterThan(1);
    },
    120_000,
  );
});
