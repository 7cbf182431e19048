import { describe, expect, test } from 'vitest';
import { readAgentStatus, readDaemonStatus } from './reports.ts';

describe('what programs say is checked', () => {
  test('an agent', () => {
    expect(
      readAgentStatus(
        {
          phase: 'running',
          epoch: '7',
          vdl: '4096',
          startedAt: 'x',
          segments: [{ id: 'a', scl: '0/1000', state: 'ready', behindBytes: 12 }, { scl: 1 }, null],
        },
        'u',
        5,
      ),
    ).toEqual({
      uid: 'u',
      answeredAt: 5,
      phase: 'running',
      epoch: 7,
      vdl: '0/1000',
      startedAt: 'x',
      segments: [{ id: 'a', state: 'READY', scl: '0/1000', behindBytes: 12 }],
    });
    expect(readAgentStatus('nonsense', 'u', 5)).toEqual({ uid: 'u', answeredAt: 5, phase: 'unknown', segments: [] });
    expect(readAgentStatus({ phase: 3, epoch: -1, vdl: 'zz', segments: {} }, 'u', 5)).toEqual({
      uid: 'u',
      answeredAt: 5,
      phase: 'unknown',
      segments: [],
    });
  });

  test('a daemon, about our volume and group only', () => {
    const body = {
      segments: [
        { volumeId: 'other', phase: 'READY' },
        { volumeId: 'v', pg: 1, phase: 'EMPTY' },
        { volumeId: 'v', pg: 0, phase: 'READY', scl: '8192', bytesUsed: '77' },
      ],
    };
    const of = { volumeId: 'v', pg: 0 };
    expect(readDaemonStatus(body, 'u', of, 5)).toEqual({ uid: 'u', answeredAt: 5, state: 'READY', scl: '0/2000', bytesUsed: 77 });
    expect(readDaemonStatus({}, 'u', of, 5)).toEqual({ uid: 'u', answeredAt: 5, state: 'EMPTY' });
  });
});
