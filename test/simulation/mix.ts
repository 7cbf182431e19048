import { LEASE_MS_DEFAULT, type VolumeCopies } from '@kube-aurora/volume';
import { SeededRandom } from '../faults/random.ts';
import { DEFAULT_LIMITS, type SegmentLimits } from '../../storage-daemon/src/segment/limits.ts';

/**
 * `any`: whatever goes wrong, as each seed has it. `quorums`: several losses at once, aimed at where quorums meet
 * (quorum-faults.ts), and little else beside them. `tails`: mixed copies, and logs in which nearly every batch ends a
 * file and gets a checkpoint, so that a tail may have to let all of its log go. `stand-ins`: mixed copies, full segments
 * that are away for long and tails that stand in for them (stand-in-faults.ts), beside all that goes wrong otherwise.
 * `readers`: as `any`, and readers that follow the volume through it.
 * `elections`: as `any`, of computes that elect their writer among themselves.
 * `leases`: writers that come to answer, and others that take over from them while they stand still (lease-faults.ts).
 */
export const MIXTURES = ['any', 'quorums', 'tails', 'stand-ins', 'readers', 'leases', 'elections'] as const;
export type Mixture = (typeof MIXTURES)[number];

/**
 * What a seed's run is made of. Every seed has its own: some faults never happen in it and others often, its files and
 * checkpoints are of another size, its writers write much or little. Rare paths need a mixture that is far from the
 * mean: were all faults equally likely in all runs, each run would be like the next one.
 */
export interface Mix {
  readonly mixture: Mixture;
  readonly copies: VolumeCopies;
  /** Milliseconds after which a tail stands in for its zone's full segment; it never does where this is undefined. */
  readonly standInAfterMs: number | undefined;
  readonly faultsForMs: number;
  /** Of every writer's leases. */
  readonly leaseMs: number;
  /** Between two faults. */
  readonly gapMs: readonly [number, number];
  /** How often a kind of fault happens here, as a factor of how often it happens otherwise. */
  readonly rate: (fault: string) => number;
  readonly load: LoadMix;
  /** Small, so that a few hundred records go through everything: new files, checkpoints, long chains, copies. */
  readonly limits: SegmentLimits;
  readonly latencyMs: readonly [number, number];
  readonly diskMs: readonly [number, number];
}

export interface LoadMix {
  readonly blocks: number;
  /** Between two lots of records. */
  readonly pauseMs: readonly [number, number];
  readonly recordsMax: number;
  readonly flushChance: number;
  readonly readChance: number;
  /** Of the records, these are whole pages, and these cut the relation. */
  readonly imageShare: number;
  readonly truncateShare: number;
  readonly ringBytesMax: number;
}

const KIB = 1024;

/** Nothing out of the ordinary: for tests that say themselves what happens. */
export const PLAIN_MIX: Mix = {
  mixture: 'any',
  copies: 'Full',
  standInAfterMs: undefined,
  faultsForMs: 0,
  leaseMs: LEASE_MS_DEFAULT,
  gapMs: [20, 1200],
  rate: () => 1,
  load: {
    blocks: 10,
    pauseMs: [2, 150],
    recordsMax: 6,
    flushChance: 0.8,
    readChance: 0.4,
    imageShare: 0.15,
    truncateShare: 0.06,
    ringBytesMax: 96 * KIB,
  },
  limits: {
    ...DEFAULT_LIMITS,
    logFileBytes: 24 * KIB,
    tailCacheBytes: 16 * KIB,
    pageCacheBytes: 6 * 8400,
    checkpointBytes: 20 * KIB,
    checkpointRefs: 200,
    chainMax: 12,
    logRetainBytes: 160 * KIB,
    queueBytes: 64 * KIB,
    unappliedBytes: 16 * KIB,
  },
  latencyMs: [0.05, 2],
  diskMs: [0.02, 0.4],
};

/** Of the kinds of faults, so many happen in a run. */
const KIND_CHANCE = 0.6;
/** Where losses are aimed, few others may come between; those that are aimed come in every run. */
const KIND_CHANCE_BESIDE = 0.1;
const AIMED_GAP_MS: readonly [number, number] = [200, 1500];
const AIMED_FOR_MS: readonly [number, number] = [6000, 16_000];
const TAKEOVER_GAP_MS: readonly [number, number] = [800, 2200];
const ELECTION_GAP_MS: readonly [number, number] = [200, 5000];
const ELECTION_KIND_CHANCE = 0.3;

export function drawMix(seed: number, mixture: Mixture = 'any'): Mix {
  const mix = drawAny(seed);
  switch (mixture) {
    case 'any':
      return mix;
    case 'quorums':
      return aimedAtQuorums(seed, mix);
    case 'tails':
      return aimedAtTails(seed, mix);
    case 'stand-ins':
      return withStandIns(seed, mix);
    case 'readers':
      return { ...mix, mixture };
    case 'elections':
      return aimedAtElections(seed, mix);
    case 'leases':
      return aimedAtLeases(seed, mix);
  }
}

/** The seed's mixture, but for what goes wrong; and a writer must come to answer before another takes over. */
function aimedAtLeases(seed: number, mix: Mix): Mix {
  return {
    ...mix,
    mixture: 'leases',
    faultsForMs: 2 * mix.faultsForMs,
    leaseMs: [2000, 3000, 5000][seed % 3] ?? LEASE_MS_DEFAULT,
    gapMs: TAKEOVER_GAP_MS,
    rate: (fault) => (rateOf(seed, fault).next() < KIND_CHANCE_BESIDE ? 0.25 : 0),
  };
}

/** The seed's mixture, but for what goes wrong, and for so long that a writer can be missed and another one found, often. */
function aimedAtElections(seed: number, mix: Mix): Mix {
  return {
    ...mix,
    mixture: 'elections',
    faultsForMs: 4 * mix.faultsForMs,
    gapMs: ELECTION_GAP_MS,
    rate: (fault) => (rateOf(seed, fault).next() < ELECTION_KIND_CHANCE ? 0.25 : 0),
  };
}

/** The seed's mixture, but for the sizes that decide when a tail's redo goes, and for what leaves redo on a tail alone. */
function aimedAtTails(seed: number, mix: Mix): Mix {
  const { load, limits } = mix;
  return {
    ...mix,
    mixture: 'tails',
    copies: 'Mixed',
    faultsForMs: 20_000,
    gapMs: AIMED_GAP_MS,
    rate: (fault) => (rateOf(seed, fault).next() < KIND_CHANCE_BESIDE ? 0.25 : 0),
    // Now and then all that there is is in the pages of every full segment.
    load: { ...load, pauseMs: [5, 200] },
    limits: { ...limits, logFileBytes: 512, checkpointBytes: 256, checkpointRefs: 4, checkpointStagger: 0 },
  };
}

/**
 * The seed's mixture with long absences, and tails that stand in soon: drawn from a stream of its own, so that what a
 * seed means without stays.
 */
function withStandIns(seed: number, mix: Mix): Mix {
  const random = new SeededRandom(Math.imul(seed + 1, 0xc2b2_ae35));
  const spread = (min: number, max: number): number => min * (max / min) ** random.next();
  return { ...mix, mixture: 'stand-ins', copies: 'Mixed', standInAfterMs: spread(20, 3000), faultsForMs: spread(5000, 20_000) };
}

/** The seed's mixture, but for what goes wrong, and to which copies. */
function aimedAtQuorums(seed: number, mix: Mix): Mix {
  const random = new SeededRandom(Math.imul(seed + 1, 0x27d4_eb2f));
  const [shortest, longest] = AIMED_FOR_MS;
  return {
    ...mix,
    mixture: 'quorums',
    copies: seed % 4 === 0 ? 'Full' : 'Mixed',
    faultsForMs: shortest * (longest / shortest) ** random.next(),
    gapMs: AIMED_GAP_MS,
    rate: (fault) => (rateOf(seed, fault).next() < KIND_CHANCE_BESIDE ? 0.25 : 0),
  };
}

/** By name, so that a new kind of fault leaves the rates of the others as they are. */
function rateOf(seed: number, fault: string): SeededRandom {
  return new SeededRandom(Math.imul(seed + 1, 0x85eb_ca6b) ^ hash(fault));
}

function drawAny(seed: number): Mix {
  const random = new SeededRandom(Math.imul(seed + 1, 0x9e37_79b1));
  const chance = (probability: number): boolean => random.next() < probability;
  const spread = (min: number, max: number): number => min * (max / min) ** random.next();
  const rates = new Map<string, number>();
  const longestGap = spread(100, 1200);
  return {
    mixture: 'any',
    copies: seed % 2 === 1 ? 'Mixed' : 'Full',
    standInAfterMs: undefined,
    faultsForMs: spread(2000, 8000),
    leaseMs: [500, 1000, 2000][seed % 3] ?? LEASE_MS_DEFAULT,
    gapMs: [spread(3, 30), longestGap],
    rate: (fault) => {
      const known = rates.get(fault);
      if (known !== undefined) return known;
      const own = rateOf(seed, fault);
      const rate = own.next() < KIND_CHANCE ? 0.25 * 16 ** own.next() : 0;
      rates.set(fault, rate);
      return rate;
    },
    load: {
      blocks: random.integer(1, 10),
      pauseMs: [2, spread(15, 200)],
      recordsMax: random.integer(2, 8),
      flushChance: chance(0.3) ? 0.3 : 0.8,
      readChance: chance(0.3) ? 0.9 : 0.4,
      imageShare: chance(0.5) ? 0.03 : 0.15,
      truncateShare: random.pick([0, 0, 0.06, 0.06, 0.2]),
      ringBytesMax: chance(0.25) ? 40 * KIB : 96 * KIB,
    },
    limits: {
      ...DEFAULT_LIMITS,
      logFileBytes: random.pick([12, 24, 64]) * KIB,
      tailCacheBytes: random.pick([4, 16]) * KIB,
      pageCacheBytes: random.pick([1, 6]) * 8400,
      // None: every batch begins a log, and what one writes may outlive what came just before it.
      levelWriteBufferBytes: random.pick([0, 8, 40, 200]) * KIB,
      checkpointBytes: random.pick([4, 10, 20, 60]) * KIB,
      checkpointRefs: random.pick([20, 60, 200]),
      chainMax: random.pick([3, 6, 12, 40]),
      // A daemon's own is this for each before it.
      checkpointStagger: random.pick([0, 1 / 6]),
      logRetainBytes: random.pick([30, 80, 160]) * KIB,
      queueBytes: random.pick([16, 64]) * KIB,
      unappliedBytes: 16 * KIB,
      flushPages: [2048, 1, 4, 24][seed % 4] ?? 1,
    },
    latencyMs: chance(0.2) ? [0.5, 20] : [0.05, 2],
    diskMs: chance(0.2) ? [0.2, 4] : [0.02, 0.4],
  };
}

function hash(text: string): number {
  let sum = 0;
  for (let at = 0; at < text.length; at++) sum = Math.imul(sum ^ text.charCodeAt(at), 0x0100_0193);
  return sum;
}
