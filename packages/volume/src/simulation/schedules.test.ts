import { describe, expect, it } from 'vitest';
import { lastEpoch } from '../epoch-history.ts';
import { OpenProtocol } from '../open-protocol.ts';
import { COPIES, QuorumTracker } from '../quorum.ts';
import { BASE_LSN, ModelSegment, RULES, type ModelBatch, type Rules } from './model-segment.ts';
import { handleOpen } from './model-writer.ts';

/**
 * Schedules that random ones do not come upon: each is the one course of events that a rule is there for. With the rule it
 * ends well, and without it a promise is broken, which tells that the rule is needed and that the model can see it.
 */

const ALL = [0, 1, 2, 3, 4, 5];

function sixSegments(rules: Rules): ModelSegment[] {
  return ALL.map((index) => new ModelSegment(`s${index}`, rules));
}

/** Takes the opener as far as it comes with the segments that it reaches now. */
function open(name: string, protocol: OpenProtocol, segments: readonly ModelSegment[], reached: readonly number[], until = 'opened'): void {
  // An opener takes a few rounds; one that is stuck asks the same again.
  for (let round = 0; round < 10 && protocol.step !== until; round++) {
    for (const index of reached) {
      const segment = segments[index];
      const request = protocol.wanted(index);
      if (segment === undefined || request === undefined || protocol.step === until) continue;
      const answer = handleOpen(segment, request, name);
      if (typeof answer === 'string') protocol.fail(index, request, 'overtaken');
      else protocol.answer(index, request, answer);
    }
    protocol.endGrace();
  }
}

function batchAfter(before: ModelBatch | undefined, epoch: bigint, id: string): ModelBatch {
  const backlink = before?.endLsn ?? BASE_LSN;
  return { epoch, previousEpoch: before?.epoch ?? 1n, backlink, endLsn: backlink + 10n, id };
}

/** The writer greets the segments with its history, as on a new stream, and sends the batch. */
function append(segments: readonly ModelSegment[], to: readonly number[], writer: OpenProtocol, batch: ModelBatch): void {
  for (const index of to) {
    segments[index]?.install(writer.epoch, writer.history);
    segments[index]?.append(writer.epoch, batch, 0n);
  }
}

function gossip(segments: readonly ModelSegment[], from: number, to: readonly number[]): void {
  const source = segments[from];
  if (source === undefined) return;
  for (const index of to) segments[index]?.pullFrom(source.history, source.log, source.vdl);
}

function holders(segments: readonly ModelSegment[], batch: ModelBatch): string[] {
  return segments.filter((segment) => segment.log.some(({ id }) => id === batch.id)).map(({ name }) => name);
}

/** Would the writer acknowledge the batch, if it heard where each segment stands now? */
function isAcknowledged(segments: readonly ModelSegment[], writer: OpenProtocol, batch: ModelBatch, rules: Rules): boolean {
  const tracker = new QuorumTracker(writer.startLsn, COPIES);
  segments.forEach((segment, index) => {
    if (rules.counts(segment.claim(), writer.epoch)) tracker.acknowledge(index, segment.scl);
  });
  return tracker.point >= batch.endLsn;
}

/**
 * The first writer's second batch is on two segments when a second opener gets its promises from the four others. Two of
 * these then have that batch from their peers, and tell the first writer so, which has not heard that it is fenced.
 */
function redoThatCameAfterThePromise(rules: Rules): void {
  const segments = sixSegments(rules);
  const first = new OpenProtocol({ copies: COPIES });
  open('first', first, segments, ALL);
  const one = batchAfter(undefined, first.epoch, 'one');
  const two = batchAfter(one, first.epoch, 'two');
  append(segments, ALL, first, one);
  append(segments, [4, 5], first, two);

  const second = new OpenProtocol({ copies: COPIES });
  open('second', second, segments, [0, 1, 2, 3], 'install-history');
  gossip(segments, 4, [0, 1]);
  const acknowledged = isAcknowledged(segments, first, two, rules);
  open('second', second, segments, [0, 1, 2, 3]);
  if (second.step !== 'opened') throw new Error(`the second writer did not open: ${second.waitingFor}`);
  append(segments, ALL, second, batchAfter(one, second.epoch, 'three'));
  gossip(segments, 0, [4, 5]);
  if (acknowledged && holders(segments, two).length === 0) throw new Error('a commit was acknowledged and is gone');
  expect(holders(segments, one)).toHaveLength(COPIES);
}

/**
 * Two segments hold redo of the first writer past the second's start. They promise the second writer late, and miss its
 * history: their SCL is ahead of its first batch, and they hold none of it.
 */
function redoOfAnotherHistory(rules: Rules): void {
  const segments = sixSegments(rules);
  const first = new OpenProtocol({ copies: COPIES });
  open('first', first, segments, ALL);
  const one = batchAfter(undefined, first.epoch, 'one');
  append(segments, ALL, first, one);
  append(segments, [4, 5], first, batchAfter(one, first.epoch, 'annulled'));

  const second = new OpenProtocol({ copies: COPIES });
  open('second', second, segments, [0, 1, 2, 3]);
  const two = batchAfter(one, second.epoch, 'two');
  for (const index of [4, 5]) segments[index]?.openEpoch(second.epoch, 'second');
  append(segments, [0, 1], second, two);
  const acknowledged = isAcknowledged(segments, second, two, rules);

  const third = new OpenProtocol({ copies: COPIES });
  open('third', third, segments, [2, 3, 4, 5]);
  if (third.step !== 'opened') throw new Error(`the third writer did not open: ${third.waitingFor}`);
  append(segments, ALL, third, batchAfter(one, third.epoch, 'three'));
  if (acknowledged && holders(segments, two).length === 0) throw new Error('a commit was acknowledged and is gone');
  // The rule is no refusal for good: what is there counts once the history is.
  expect(isAcknowledged(segments, third, batchAfter(one, third.epoch, 'three'), rules)).toBe(true);
}

/**
 * One segment alone holds the log's last batch. An opener that did not hear of it left its history on a single segment and
 * died. The next one hears of the batch and chooses its end; only then does that history reach the segment that holds it.
 */
function historyThatCameAfterThePromise(rules: Rules): void {
  const segments = sixSegments(rules);
  const first = new OpenProtocol({ copies: COPIES });
  open('first', first, segments, ALL);
  const one = batchAfter(undefined, first.epoch, 'one');
  append(segments, ALL, first, one);
  const two = batchAfter(one, first.epoch, 'two');
  append(segments, [0], first, two);

  const died = new OpenProtocol({ copies: COPIES });
  open('died', died, segments, [1, 2, 3, 4], 'install-history');
  segments[4]?.install(died.epoch, died.history);
  const second = new OpenProtocol({ copies: COPIES });
  open('second', second, segments, [0, 1, 2, 3], 'install-history');
  expect(second.startLsn).toBe(two.endLsn);
  gossip(segments, 4, [0]);
  open('second', second, segments, [0, 1, 2, 3], 'catch-up');
  gossip(segments, 0, [1, 2, 3]);
  open('second', second, segments, [0, 1, 2, 3]);
  if (second.step !== 'opened') throw new Error(`the second writer did not open: ${second.waitingFor}`);
  expect(holders(segments, two)).toEqual(['s0', 's1', 's2', 's3']);
}

/**
 * Four segments hold an acknowledged batch when three of them hear from one that was away since before its writer opened.
 */
function historyOfLongAgo(rules: Rules): void {
  const segments = sixSegments(rules);
  const first = new OpenProtocol({ copies: COPIES });
  open('first', first, segments, [0, 1, 2, 3]);
  const one = batchAfter(undefined, first.epoch, 'one');
  append(segments, [0, 1, 2, 3], first, one);
  gossip(segments, 5, [0, 1, 2]);

  const second = new OpenProtocol({ copies: COPIES });
  open('second', second, segments, [0, 1, 2, 5]);
  gossip(segments, 0, [5]);
  open('second', second, segments, [0, 1, 2, 5]);
  if (second.step !== 'opened') throw new Error(`the second writer did not open: ${second.waitingFor}`);
  if (second.startLsn < one.endLsn) throw new Error('a commit was acknowledged and is gone');
}

describe.each([
  {
    schedule: redoThatCameAfterThePromise,
    rule: 'an SCL counts only with the writer’s own epoch',
    without: { counts: (claim, epoch) => claim.phase === 'READY' && lastEpoch(claim.history) === epoch },
    breaks: /a commit was acknowledged and is gone/,
  },
  {
    schedule: redoOfAnotherHistory,
    rule: 'an SCL counts only with the writer’s own history',
    without: { counts: (claim, epoch) => claim.phase === 'READY' && claim.epoch === epoch },
    breaks: /a commit was acknowledged and is gone/,
  },
  {
    schedule: historyThatCameAfterThePromise,
    rule: 'a segment takes no history older than its promise',
    without: { merge: (own, incoming) => (lastEpoch(incoming) > lastEpoch(own) ? incoming : own) },
    breaks: /the second writer did not open/,
  },
  {
    schedule: historyOfLongAgo,
    rule: 'a segment takes no history older than its own',
    without: { merge: (_own, incoming) => incoming },
    breaks: /a commit was acknowledged and is gone/,
  },
] satisfies { schedule: (rules: Rules) => void; rule: string; without: Partial<Rules>; breaks: RegExp }[])(
  '$rule',
  ({ schedule, without, breaks }) => {
    it('and nothing is lost', () => schedule(RULES));
    it('or else something is', () => expect(() => schedule({ ...RULES, ...without })).toThrow(breaks));
  },
);
