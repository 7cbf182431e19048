import { describe, expect, it } from 'vitest';
import { MEMORY_MIB_DEFAULT, MEMORY_MIB_MIN, memoryShare } from './memory-share.ts';
import { DEFAULT_LIMITS } from './segment/limits.ts';

const MIB = 1024 * 1024;

describe('memoryShare', () => {
  it('gives by default what a segment has by default', () => {
    const { limits } = memoryShare(MEMORY_MIB_DEFAULT);
    expect({ ...DEFAULT_LIMITS, ...limits }).toEqual(DEFAULT_LIMITS);
  });

  it.each([MEMORY_MIB_MIN, MEMORY_MIB_DEFAULT, 512, 4096, 65_536])(
    'of %i MiB shares out no more than there is, and nothing is nothing',
    (mib) => {
      const { limits, garbageBytes } = memoryShare(mib);
      const { tailCacheBytes, pageCacheBytes, levelCacheBytes, levelWriteBufferBytes, queueBytes, unappliedBytes } = limits;
      const all = tailCacheBytes + pageCacheBytes + levelCacheBytes + 2 * levelWriteBufferBytes + queueBytes + garbageBytes;
      expect(all).toBeLessThanOrEqual((mib - 130) * MIB);
      for (const bytes of [...Object.values(limits), garbageBytes]) expect(bytes).toBeGreaterThanOrEqual(512 * 1024);
      expect(unappliedBytes).toBeGreaterThan(queueBytes);
    },
  );
});
