import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_XMINS } from '@kube-aurora/rpc';
import { LEFT_MS, ReadFloors, SILENT_MS } from './read-floors.ts';

describe('ReadFloors', () => {
  it('is the minimum over the computes that are heard', () => {
    const floors = new ReadFloors();
    expect(floors.lowest(0)).toBe(0n);
    floors.noteWriter('writer', 100n, 0);
    expect(floors.lowest(0)).toBe(100n);
    floors.noteReader('reader', 40n, 1);
    floors.noteWriter('writer', 200n, 2);
    // It was at 100 already: what is below may be gone.
    expect(floors.lowest(2)).toBe(100n);
    floors.noteReader('reader', 150n, 3);
    expect(floors.lowest(3)).toBe(150n);
    floors.noteReader('reader', 120n, 4);
    expect(floors.lowest(4)).toBe(150n);
    expect(floors.holders()).toEqual([
      { compute: 'reader', lsn: 150n, xmins: NO_XMINS },
      { compute: 'writer', lsn: 200n, xmins: NO_XMINS },
    ]);
    floors.release('reader');
    expect(floors.lowest(5)).toBe(200n);
  });

  it('ends the hold of one that is silent, and no sooner', () => {
    const floors = new ReadFloors();
    floors.noteReader('reader', 40n, 0);
    floors.noteWriter('writer', 200n, SILENT_MS - 1);
    expect(floors.lowest(SILENT_MS - 1)).toBe(40n);
    expect(floors.lowest(SILENT_MS)).toBe(200n);
    expect(floors.holders()).toEqual([{ compute: 'writer', lsn: 200n, xmins: NO_XMINS }]);
    // It lives after all, and holds what is left.
    floors.noteReader('reader', 40n, SILENT_MS);
    floors.noteWriter('writer', 300n, SILENT_MS);
    expect(floors.lowest(SILENT_MS)).toBe(200n);
  });

  it('takes the word of peers while no writer is heard here, whichever readers are', () => {
    const floors = new ReadFloors();
    floors.noteReader('reader', 40n, 0);
    // Nothing is known of a writer yet.
    expect(floors.lowest(0)).toBe(0n);
    floors.notePeers(30n);
    expect(floors.lowest(0)).toBe(30n);
    floors.notePeers(90n);
    expect(floors.lowest(0)).toBe(40n);
    expect(floors.lowest(SILENT_MS)).toBe(90n);
    floors.notePeers(70n);
    expect(floors.lowest(SILENT_MS)).toBe(90n);
    floors.noteWriter('writer', 100n, SILENT_MS);
    expect(floors.lowest(SILENT_MS)).toBe(100n);
    floors.notePeers(95n);
    floors.noteWriter('writer', 120n, SILENT_MS);
    expect(floors.lowest(SILENT_MS)).toBe(120n);
  });

  it('one whose stream is over counts for a while, unless it comes back', () => {
    const floors = new ReadFloors();
    floors.noteReader('reader', 10n, 0);
    floors.noteWriter('writer', 90n, 0);
    floors.left('reader', 1000);
    floors.noteWriter('writer', 90n, LEFT_MS);
    expect(floors.lowest(LEFT_MS)).toBe(10n);
    floors.noteReader('reader', 20n, LEFT_MS);
    expect(floors.lowest(1000 + LEFT_MS)).toBe(20n);
    floors.left('reader', 2000 + LEFT_MS);
    floors.left('nobody', 2000 + LEFT_MS);
    floors.noteWriter('writer', 95n, 2 * LEFT_MS);
    expect(floors.lowest(1999 + 2 * LEFT_MS)).toBe(20n);
    expect(floors.lowest(2000 + 2 * LEFT_MS)).toBe(95n);
  });

  it('has the lowest of what readers’ snapshots may need, for as long as their floors count', () => {
    const floors = new ReadFloors();
    expect(floors.lowestXmins(0)).toEqual(NO_XMINS);
    // Nobody has heard of it yet.
    floors.noteXmins('a', { xmin: 5n, catalogXmin: 0n });
    floors.noteReader('a', 10n, 0);
    floors.noteReader('b', 10n, 0);
    expect(floors.lowestXmins(0)).toEqual(NO_XMINS);
    floors.noteXmins('a', { xmin: 700n, catalogXmin: 0n });
    floors.noteXmins('b', { xmin: 0x1_0000_0003n, catalogXmin: 650n });
    expect(floors.lowestXmins(1)).toEqual({ xmin: 700n, catalogXmin: 650n });
    // Its stream begins anew, and says nothing of them: what it said stands.
    floors.left('a', 1000);
    floors.noteReader('a', 20n, 2000);
    expect(floors.lowestXmins(2000)).toEqual({ xmin: 700n, catalogXmin: 650n });
    // Its queries are over, or its feedback is switched off.
    floors.noteXmins('a', NO_XMINS);
    expect(floors.lowestXmins(2000)).toEqual({ xmin: 0x1_0000_0003n, catalogXmin: 650n });
    floors.left('b', 2000);
    expect(floors.lowestXmins(2000 + LEFT_MS - 1).catalogXmin).toBe(650n);
    expect(floors.lowestXmins(2000 + LEFT_MS)).toEqual(NO_XMINS);
  });

  it('never goes back, and never past one that is heard, whatever comes', () => {
    const event = fc.record({
      what: fc.constantFrom('writer', 'reader', 'peers', 'release', 'time'),
      compute: fc.constantFrom('a', 'b', 'c'),
      lsn: fc.bigInt(0n, 1000n),
      ms: fc.nat(SILENT_MS),
    });
    fc.assert(
      fc.property(fc.array(event), (events) => {
        const floors = new ReadFloors();
        const heard = new Map<string, { lsn: bigint; at: number }>();
        let now = 0;
        let before = 0n;
        for (const { what, compute, lsn, ms } of events) {
          if (what === 'writer' || what === 'reader') {
            if (what === 'writer') floors.noteWriter(compute, lsn, now);
            else floors.noteReader(compute, lsn, now);
            const was = heard.get(compute)?.lsn ?? 0n;
            heard.set(compute, { lsn: lsn > was ? lsn : was, at: now });
          } else if (what === 'peers') floors.notePeers(lsn);
          else if (what === 'release') {
            floors.release(compute);
            heard.delete(compute);
          } else now += ms;
          for (const [name, { at }] of heard) if (now - at >= SILENT_MS) heard.delete(name);
          const lowest = floors.lowest(now);
          expect(lowest).toBeGreaterThanOrEqual(before);
          for (const one of heard.values()) expect(lowest <= one.lsn || lowest === before).toBe(true);
          before = lowest;
        }
      }),
    );
  });
});
