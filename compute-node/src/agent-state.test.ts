import { describe, expect, it } from 'vitest';
import { systemClock } from '@kube-aurora/clock';
import { EXIT } from '@kube-aurora/process';
import { exitCodeOf, type AgentSituation } from './agent-situation.ts';
import { AgentState } from './agent-state.ts';
import { AGENT_TABLE, type AgentEvent, type AgentStep } from './agent-table.ts';

/** How a new agent comes to each step. */
const WAYS: Readonly<Record<AgentStep, readonly AgentEvent[]>> = {
  asking: [],
  bootstrapping: ['absent'],
  starting: ['opened'],
  running: ['opened', 'ready'],
  takingOver: ['opened', 'ready', 'elected'],
  pausing: ['opened', 'ready', 'postgresFailed'],
  fenced: ['fenced'],
  stopping: ['stop'],
  stoppingFenced: ['fenced', 'stop'],
};
const STEPS = Object.keys(AGENT_TABLE) as AgentStep[];
const EVENTS = Object.keys(AGENT_TABLE.asking) as AgentEvent[];

function stateAt(step: AgentStep = 'asking'): { state: AgentState; wait: (ms: number) => void } {
  let wallTime = Date.parse('2026-01-01T00:00:00Z');
  const state = new AgentState({ ...systemClock(), wallTime: () => wallTime });
  for (const event of WAYS[step]) state.on(event, `${event} happened`);
  expect(state.step).toBe(step);
  return { state, wait: (ms) => (wallTime += ms) };
}

describe('the exit code', () => {
  const table: readonly (readonly [AgentSituation, number])[] = [
    [{ phase: 'running', reason: 'none' }, EXIT.ok],
    [{ phase: 'running', reason: 'noQuorum' }, EXIT.ok],
    [{ phase: 'opening', reason: 'damagedWal' }, EXIT.ok],
    [{ phase: 'fenced', reason: 'fenced' }, EXIT.fenced],
    [{ phase: 'stopping', reason: 'stopping' }, EXIT.ok],
    [{ phase: 'stopping', reason: 'noQuorum' }, EXIT.noQuorum],
    [{ phase: 'stopping', reason: 'fenced' }, EXIT.fenced],
  ];
  it.each(table)('of %o is %i, whatever the message says', (situation, code) => {
    expect(exitCodeOf(situation)).toBe(code);
  });
  it('does not come from a message', () => {
    const { state } = stateAt('starting');
    state.on('postgresFailed', 'no quorum');
    expect(exitCodeOf(state.situation)).toBe(EXIT.ok);
    state.on('stop', 'fenced');
    expect(exitCodeOf(state.situation)).toBe(EXIT.ok);
  });
});

describe.each(STEPS)('an agent that is %s', (step) => {
  it.each(EVENTS)('does what the table says when told %s', (event) => {
    const { state } = stateAt(step);
    const { situation: before, message } = state;
    const outcome = AGENT_TABLE[step][event];
    if (outcome === 'throw') {
      expect(() => state.on(event, 'told')).toThrow(`an agent that is ${step} was told '${event}'`);
      expect(state).toMatchObject({ step, situation: before, message });
      return;
    }
    state.on(event, 'told');
    if (outcome === 'nothing') expect(state).toMatchObject({ step, situation: before, message });
    else expect(state).toMatchObject({ step: outcome.to, situation: outcome.situation ?? before });
  });
});

describe('others who wait for a change', () => {
  it('hear of another step or reason, not of another message', () => {
    let changes = 0;
    const state = new AgentState(systemClock(), () => changes++);
    state.on('opened', 'open');
    expect(changes).toBe(1);
    state.on('progress', 'still open');
    expect([state.message, changes]).toEqual(['still open', 1]);
    state.on('ready');
    state.on('elected');
    expect([state.step, changes]).toEqual(['takingOver', 3]);
  });
});

describe('the table', () => {
  const next = (step: AgentStep): AgentStep[] =>
    EVENTS.flatMap((event) => {
      const outcome = AGENT_TABLE[step][event];
      return typeof outcome === 'string' ? [] : [outcome.to];
    });
  it('lets nobody who is fenced or stopping do anything but stop', () => {
    for (const step of ['fenced', 'stopping', 'stoppingFenced'] as const)
      expect(next(step).every((to) => to === 'stopping' || to === 'stoppingFenced')).toBe(true);
    expect(next('fenced')).not.toContain('stopping');
    expect(next('stoppingFenced')).toEqual([]);
  });
  it('starts PostgreSQL on a volume that was just opened, and lets a stop in everywhere', () => {
    expect(STEPS.filter((step) => next(step).includes('starting') && step !== 'starting')).toEqual(['asking', 'takingOver']);
    expect(STEPS.filter((step) => next(step).includes('running'))).toEqual(['starting', 'takingOver']);
    for (const step of STEPS) expect(AGENT_TABLE[step].stop).not.toBe('throw');
  });
  it('shows every situation that a step can be in as that of one phase', () => {
    for (const step of STEPS)
      for (const event of EVENTS) {
        const outcome = AGENT_TABLE[step][event];
        if (typeof outcome === 'string' || outcome.situation === undefined) continue;
        const { phase } = outcome.situation;
        const expected = {
          asking: 'opening',
          starting: 'opening',
          pausing: 'opening',
          takingOver: 'running',
          stoppingFenced: 'stopping',
        } as const;
        expect(phase).toBe(outcome.to in expected ? expected[outcome.to as keyof typeof expected] : outcome.to);
      }
  });
});

describe('the state', () => {
  it('counts since phase or reason changed, not since the message did', () => {
    const { state, wait } = stateAt();
    state.on('progress', 'two of six answer');
    wait(5000);
    state.on('progress', 'three of six answer');
    expect(state).toMatchObject({ since: '2026-01-01T00:00:00.000Z', message: 'three of six answer' });
    state.on('opened');
    expect(state).toMatchObject({ since: '2026-01-01T00:00:05.000Z', message: 'three of six answer' });
  });

  it('keeps the last failure, with its time, while the next try goes on', () => {
    const { state, wait } = stateAt('starting');
    state.on('postgresFailed', 'PostgreSQL ended with SIGKILL');
    wait(1000);
    state.on('resumed');
    expect(state.situation).toEqual({ phase: 'opening', reason: 'waitingForStorage' });
    expect(state.lastFailure).toEqual({
      reason: 'postgresFailed',
      message: 'PostgreSQL ended with SIGKILL',
      at: '2026-01-01T00:00:00.000Z',
    });
  });

  it('stays fenced until it stops, and says so to the end', () => {
    const { state } = stateAt();
    state.on('fenced', 'epoch 4 took over');
    state.on('stop', 'stopping');
    state.on('noQuorum', 'no quorum');
    expect(state.situation).toEqual({ phase: 'stopping', reason: 'fenced' });
    expect(state.message).toBe('epoch 4 took over');
  });

  it('says that it was fenced also when it hears so while it stops', () => {
    const { state } = stateAt('stopping');
    state.on('fenced', 'epoch 4 took over');
    expect(state).toMatchObject({ situation: { phase: 'stopping', reason: 'fenced' }, message: 'epoch 4 took over' });
  });
});
