import { describe, expect, it } from 'vitest';
import { EPOCH_MAX, HISTORY_MAX } from '@kube-aurora/volume';
import { emptyState } from '../segment/segment-directory.ts';
import { checkMessage, MESSAGE_RULES } from './message-rules.ts';

const U64_MAX = 2n ** 64n - 1n;
const segment = { volumeId: '0b0a6f0e-3f4e-4d53-8a6e-5c1b2f9d7a10', pg: 0 };
const history = [
  { epoch: 1n, startLsn: 100n },
  { epoch: 2n, startLsn: 200n },
];
const key = Buffer.alloc(17);
const state = {
  ...emptyState({ role: 'FULL', daemonId: 'd0', zone: 'a' }),
  phase: 'READY' as const,
  epoch: 2n,
  scl: 300n,
  baseLsn: 100n,
  history,
};

/** Of every message one that is right. */
const GOOD: { readonly [K in keyof typeof MESSAGE_RULES]: NonNullable<Parameters<(typeof MESSAGE_RULES)[K]>[0]> } = {
  SegmentId: segment,
  SegmentState: state,
  AppendHello: { role: 'FULL', segment, epoch: 2n, writerId: 'demo-1/a', history },
  AppendPoints: { vdl: 0n, pgmrpl: 5n },
  OpenEpochRequest: { role: 'FULL', segment, epoch: 3n, writerId: 'demo-1/a', leaseMs: 2000 },
  InstallHistoryRequest: { segment, epoch: 2n, history },
  CatchUpRequest: { segment, lsn: 5n },
  FollowHello: { segment, readerId: 'demo-2', wants: 'REDO', promotionTier: 1 },
  FollowPoints: { takenLsn: 0n, readFloor: 5n },
  GetPagesRequest: { segment, epoch: 2n, lsn: 5n, keys: Array.from({ length: 256 }, () => key) },
  ComputeImageRequest: { segment, epoch: 2n, lsn: 5n },
  ImportBegin: {
    role: 'FULL',
    segment,
    epoch: 1n,
    baseLsn: 100n,
    systemIdentifier: U64_MAX,
    volumeState: Buffer.alloc(1),
    engine: { engine: 'postgres', major: 18 },
  },
  ImportPages: { pages: [{ key, page: Buffer.alloc(8192) }] },
  RenewLeaseRequest: { segment, epoch: 3n, writerId: 'demo-1/a', leaseMs: 2000 },
  GiveBackLeaseRequest: { segment, epoch: 3n, writerId: 'demo-1/a', reopens: false },
  GossipRequest: { segment, state },
  FetchRedoRequest: { segment, fromLsn: 0n, fromEpoch: 0n, toLsn: 0n },
  CopySegmentRequest: { segment },
  GetPeerPageRequest: { segment, key, lsn: 5n },
};

/** Fields that any value of their type fits. */
const FREE = new Set(['volumeState', 'fault', 'reopens']);
/** A value that is wrong in every field of its name. */
const BAD: Record<string, unknown> = {
  volumeId: '../../etc',
  pg: 70_000,
  writerId: 'a\u0007',
  readerId: '',
  wants: 'PAGES',
  promotionTier: 16,
  writer: { epoch: 1n, writerId: 'demo-1/a', silentMs: -1, leaseGivenBack: false, promisedMs: 0 },
  followers: [{ computeId: '', promotionTier: 1, takenLsn: 0n, silentMs: 0 }],
  zone: 'z'.repeat(300),
  daemonId: '',
  message: 'm'.repeat(100_000),
  phase: 7,
  history: Array.from({ length: HISTORY_MAX + 1 }, (_, index) => ({ epoch: BigInt(index + 1), startLsn: 1n })),
  segment: undefined,
  state: undefined,
  key: Buffer.alloc(4),
  pages: [{ key, page: Buffer.alloc(0) }],
  keys: [],
  engine: { engine: '', major: 18 },
  systemIdentifier: 2n ** 64n,
  bytesUsed: 2n ** 64n,
  standIn: { of: '', sinceUnixMs: 0n, reason: 'SILENT' },
};

describe.each(Object.entries(GOOD))('%s', (name, good) => {
  const check = (value: unknown): void => checkMessage(name as 'SegmentId', value as never);

  it('is taken when it is right', () => {
    expect(() => check(good)).not.toThrow();
  });

  it.each(Object.keys(good).filter((field) => !FREE.has(field)))('%s: is named when it is wrong', (field) => {
    // Any other field is an epoch or an LSN.
    const wrong = field in BAD ? BAD[field] : U64_MAX;
    const snake = field.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    expect(() => check({ ...good, [field]: wrong })).toThrow(
      new RegExp(`^${snake}(\\[0\\].page|\\.engine|\\.of|\\.silent_ms|\\[0\\].compute_id)?: .+`),
    );
  });

  it('is refused when it is missing', () => {
    expect(() => check(undefined)).toThrow(/is missing|Cannot/);
  });
});

it('a state that cannot be is refused, whoever says so', () => {
  for (const [change, field] of [
    [{ epoch: 1n }, 'state.epoch'],
    [{ lastBatchEpoch: 3n }, 'state.last_batch_epoch'],
    [{ scl: 99n }, 'state.scl'],
    [{ logStartLsn: 301n }, 'state.log_start_lsn'],
    [{ epoch: EPOCH_MAX + 1n }, 'state.epoch'],
  ] as const)
    expect(() => checkMessage('GossipRequest', { segment, state: { ...state, ...change } })).toThrow(new RegExp(`^${field}: `));
});

it('pages are asked for by 1 to 256 keys, each of which can be one', () => {
  const request = GOOD.GetPagesRequest;
  const many = Array.from({ length: 257 }, () => key);
  expect(() => checkMessage('GetPagesRequest', { ...request, keys: many })).toThrow(/^keys: has 257 entries/);
  expect(() => checkMessage('GetPagesRequest', { ...request, keys: [key, Buffer.alloc(65)] })).toThrow(/^keys\[1\]: has 65 bytes/);
});

it('a nested field is named with its place', () => {
  const bad = [...history, { epoch: U64_MAX, startLsn: 1n }];
  expect(() => checkMessage('AppendHello', { ...GOOD.AppendHello, history: bad }, 'hello')).toThrow(/^hello\.history\[2\]\.epoch: /);
});
