import { describe, expect, it } from 'vitest';
import { ContentState } from './content-state.ts';
import { CONTENT_MEANING, CONTENT_TABLE, type ContentEvent, type ContentPhase, type FailureEvent } from './content-table.ts';
import type { Failure } from './segment-fault.ts';

/** How new content comes to each state. */
const WAYS: Readonly<Record<ContentPhase, readonly ContentEvent[]>> = {
  empty: [],
  open: ['opened'],
  unwritable: ['opened', 'diskFailed'],
  closed: ['opened', 'diskFailed', 'reopening'],
  damaged: ['opened', 'foundDamaged'],
  stopped: ['opened', 'cannotGoOn'],
  'replacing empty': ['replacing'],
  'replacing open': ['opened', 'replacing'],
  'replacing unwritable': ['opened', 'replacing', 'diskFailed'],
  'replacing closed': ['replacing', 'diskFailed'],
  'replacing damaged': ['opened', 'foundDamaged', 'replacing'],
  'replacing stopped': ['opened', 'replacing', 'cannotGoOn'],
  ended: ['opened', 'ending'],
};
const PHASES = Object.keys(CONTENT_TABLE) as ContentPhase[];
const EVENTS = Object.keys(CONTENT_TABLE.empty) as ContentEvent[];
const FAULTS: Readonly<Record<FailureEvent, readonly Failure['fault'][]>> = {
  diskFailed: [
    { kind: 'DISK_ERROR', error: 'EIO', operation: 'write redo log' },
    { kind: 'DISK_FULL', freeBytes: 1n, neededBytes: 2n },
  ],
  foundDamaged: [{ kind: 'DAMAGED_DATA', part: 'page' }],
  cannotGoOn: [
    { kind: 'REDO_FAILED', lsn: 8n, record: 'Heap INSERT', page: '' },
    { kind: 'HISTORY_REFUSED', epoch: 3n, startLsn: 8n, durableLsn: 16n },
    { kind: 'UNKNOWN' },
  ],
};

const isFailure = (event: ContentEvent): event is FailureEvent => event in FAULTS;

/** Tells it of the event, in every form that it comes in. */
function* tellings(event: ContentEvent): Generator<{ readonly failure?: Failure; readonly tell: (state: ContentState) => unknown }> {
  if (!isFailure(event)) yield { tell: (state) => state.on(event) };
  else
    for (const fault of FAULTS[event]) {
      const failure = { fault, message: `new ${fault.kind}` };
      yield { failure, tell: (state) => state.fail(failure) };
    }
}

function stateAt(phase: ContentPhase): ContentState {
  const state = new ContentState();
  for (const event of WAYS[phase]) {
    if (isFailure(event)) state.fail({ fault: FAULTS[event][0] ?? { kind: 'UNKNOWN' }, message: 'old' });
    else state.on(event);
  }
  expect(state.phase).toBe(phase);
  return state;
}

describe.each(PHASES)('content that is %s', (phase) => {
  it.each(EVENTS)('does what the table says when told %s', (event) => {
    const outcome = CONTENT_TABLE[phase][event];
    for (const { failure, tell } of tellings(event)) {
      const state = stateAt(phase);
      const { failure: before } = state;
      if (outcome === 'throw' || outcome === 'refuse') {
        expect(() => tell(state)).toThrow(`content that is ${phase} was told '${event}'`);
        expect(state).toMatchObject({ phase, failure: before });
      } else if (outcome === 'nothing') {
        expect(tell(state)).not.toBe(true);
        expect(state).toMatchObject({ phase, failure: before });
      } else {
        tell(state);
        expect(state.phase).toBe(outcome.to);
        if (failure !== undefined) expect(state.failure).toEqual(failure);
        else expect(state.failure).toEqual(['opened', 'replaced', 'ending'].includes(event) ? undefined : before);
      }
      expect(state.meaning).toBe(CONTENT_MEANING[state.phase]);
    }
  });
});

describe('the table', () => {
  it('has a reason for every state that refuses reads or redo, and none for the others', () => {
    for (const phase of PHASES) {
      const { servesReads, isHeldByDisk } = CONTENT_MEANING[phase];
      expect([phase, stateAt(phase).failure !== undefined]).toEqual([phase, !servesReads || isHeldByDisk]);
    }
  });

  it('leads out of every state that a segment may be in, by being opened anew or replaced', () => {
    for (const phase of PHASES.filter((one) => one !== 'ended')) {
      const { isHeldByDisk, isReplacing } = CONTENT_MEANING[phase];
      const { reopening, replacing, replaced } = CONTENT_TABLE[phase];
      if (isReplacing) expect([reopening, replaced]).toEqual(['throw', { to: 'replacing empty' }]);
      else if (isHeldByDisk) expect([reopening, replacing]).toEqual([{ to: 'closed' }, 'refuse']);
      else expect([reopening, replacing]).toEqual(['throw', { to: `replacing ${phase}` }]);
    }
  });

  it('has one import or copy at a time, which changes nothing until it takes the place of what is there', () => {
    for (const phase of PHASES.filter((one) => CONTENT_MEANING[one].isReplacing)) {
      const holding = phase.replace('replacing ', '') as ContentPhase;
      expect(CONTENT_TABLE[phase]).toMatchObject({ replacing: 'refuse', replacingOver: { to: holding } });
      const { servesReads, isHeldByDisk } = CONTENT_MEANING[holding];
      expect(CONTENT_MEANING[phase]).toMatchObject({ servesReads, isHeldByDisk, phase: 'IMPORTING', needsCopy: false });
    }
  });

  it('says why there can be no import or copy now', () => {
    expect(stateAt('open').replace()).toBeUndefined();
    for (const phase of PHASES.filter((one) => CONTENT_MEANING[one].isReplacing))
      expect(stateAt(phase).replace()).toBe('an import or copy is under way already');
    for (const phase of ['unwritable', 'closed'] as const) expect(stateAt(phase).replace()).toBe('old');
    expect(stateAt('ended').replace()).toBe('the daemon stops');
  });

  it('lets nothing hide what a person must see, nor a disk what a copy must mend', () => {
    for (const event of ['opened', 'diskFailed', 'foundDamaged'] as const) expect(CONTENT_TABLE.stopped[event]).toBe('nothing');
    for (const event of ['opened', 'diskFailed'] as const) expect(CONTENT_TABLE.damaged[event]).toBe('nothing');
  });
});

describe('a failure', () => {
  it('that is told again in the same words changes nothing; newer numbers do not count as another', () => {
    const state = stateAt('open');
    const full = (freeBytes: bigint): Failure => ({ fault: { kind: 'DISK_FULL', freeBytes, neededBytes: 9n }, message: 'full' });
    expect([state.fail(full(1n)), state.fail(full(1n))]).toEqual([true, false]);
    state.update(full(5n).fault);
    expect(state.failure).toEqual(full(5n));
    state.update({ kind: 'UNKNOWN' });
    expect(state.failure).toEqual(full(5n));
  });
});
