import { ALL_FULL } from '@kube-aurora/volume';
import { describe, expect, it } from 'vitest';
import { suspectAt, type HeardSign } from './suspect-writer.ts';

const heard = (atMs: number, writerSilentMs: number, writerEpoch = 5n, writerGaveBack = false): HeardSign => ({
  sign: { writerEpoch, writerSilentMs, writerGaveBack },
  atMs,
});
const suspect = (signs: readonly (HeardSign | undefined)[]): number => suspectAt(signs, ALL_FULL, 2000);
const NONE = undefined;

describe('when a writer may be gone', () => {
  it.each<[string, readonly (HeardSign | undefined)[], number]>([
    ['nothing was heard', [NONE, NONE, NONE, NONE, NONE, NONE], -Infinity],
    ['too few were heard', [heard(0, 0), heard(0, 0), heard(0, 0), NONE, NONE, NONE], -Infinity],
    ['once the last but three have not heard it for so long', [100, 200, 300, 400, 500, 600].map((silent) => heard(1000, silent)), 2600],
    ['each is counted from when its word came', [heard(900, 0), heard(800, 0), heard(700, 0), heard(600, 0), NONE, NONE], 2600],
    ['at once when one says so', [heard(0, 0, 5n, true), ...[1, 2, 3, 4, 5].map(() => heard(0, 0))], -Infinity],
    ['not for a word of the one before', [heard(0, 0, 4n, true), ...[1, 2, 3, 4, 5].map(() => heard(0, 0))], 2000],
    ['not while a promise is on its way to all', [heard(0, 0, 6n), ...[1, 2, 3, 4, 5].map(() => heard(0, 400))], 1600],
  ])('%s', (_name, signs, at) => {
    expect(suspect(signs)).toBe(at);
  });
});
