import { describe, expect, it } from 'vitest';
import { systemClock } from '@kube-aurora/clock';
import { EXIT } from '@kube-aurora/process';
import { AgentState, exitCodeOf, type AgentSituation } from './agent-state.ts';

function stateAt(): { state: AgentState; wait: (ms: number) => void } {
  let wallTime = Date.parse('2026-01-01T00:00:00Z');
  const state = new AgentState({ ...systemClock(), wallTime: () => wallTime });
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
    const { state } = stateAt();
    state.failed('postgresFailed', 'no quorum');
    expect(exitCodeOf(state.situation)).toBe(EXIT.ok);
    state.enter({ phase: 'stopping', reason: 'stopping' }, 'fenced');
    expect(exitCodeOf(state.situation)).toBe(EXIT.ok);
  });
});

describe('the state', () => {
  it('counts since phase or reason changed, not since the message did', () => {
    const { state, wait } = stateAt();
    state.enter({ phase: 'opening', reason: 'waitingForStorage' }, 'two of six answer');
    wait(5000);
    state.enter({ phase: 'opening', reason: 'waitingForStorage' }, 'three of six answer');
    expect(state).toMatchObject({ since: '2026-01-01T00:00:00.000Z', message: 'three of six answer' });
    state.enter({ phase: 'opening', reason: 'startingPostgres' }, 'starting PostgreSQL');
    expect(state.since).toBe('2026-01-01T00:00:05.000Z');
  });

  it('keeps the last failure, with its time, while the next try goes on', () => {
    const { state, wait } = stateAt();
    state.failed('postgresFailed', 'PostgreSQL ended with SIGKILL');
    wait(1000);
    state.enter({ phase: 'opening', reason: 'waitingForStorage' }, 'asking storage');
    expect(state.situation).toEqual({ phase: 'opening', reason: 'waitingForStorage' });
    expect(state.lastFailure).toEqual({
      reason: 'postgresFailed',
      message: 'PostgreSQL ended with SIGKILL',
      at: '2026-01-01T00:00:00.000Z',
    });
  });

  it('goes on stopping whatever a part that still ends says', () => {
    const { state } = stateAt();
    state.enter({ phase: 'stopping', reason: 'stopping' }, 'stopping');
    state.enter({ phase: 'opening', reason: 'waitingForStorage' }, 'asking storage');
    expect(state.situation).toEqual({ phase: 'stopping', reason: 'stopping' });
    state.enter({ phase: 'stopping', reason: 'noQuorum' }, 'no quorum');
    expect(state.situation).toEqual({ phase: 'stopping', reason: 'noQuorum' });
  });

  it('stays fenced until it stops, and says so to the end', () => {
    const { state } = stateAt();
    state.enter({ phase: 'fenced', reason: 'fenced' }, 'epoch 4 took over');
    state.enter({ phase: 'running', reason: 'none' }, 'running');
    expect(state.situation).toEqual({ phase: 'fenced', reason: 'fenced' });
    state.enter({ phase: 'stopping', reason: 'stopping' }, 'stopping');
    expect(state.situation).toEqual({ phase: 'stopping', reason: 'fenced' });
    expect(state.message).toBe('epoch 4 took over');
  });
});
