import { expect, test } from 'vitest';
import { causeInLog, failedContainer } from './pod-trouble.ts';

test('the cause is the last error of the log, in its own words', () => {
  const info = '{"level":"info","time":"2026-11-26T10:00:00Z","msg":"starting"}';
  const fatal = '{"level":"fatal","err":{"type":"Error","message":"EROFS: read-only file system"},"msg":"stopped by an error"}';
  expect(causeInLog(`${info}\n${fatal}\n${info}\n`)).toBe('stopped by an error: EROFS: read-only file system');
  expect(causeInLog(`${info}\nconfiguration: --storage (AURORA_STORAGE) is required\n`)).toBe(
    'configuration: --storage (AURORA_STORAGE) is required',
  );
  expect(causeInLog(`${info}\n`)).toBe('');
  expect(causeInLog('{"level":"fa')).toBe('{"level":"fa');
});

test('what failed before this start is not told', () => {
  const ended = (at: string) => ({
    status: {
      containerStatuses: [
        {
          name: 'x',
          image: '',
          imageID: '',
          ready: false,
          restartCount: 1,
          lastState: { terminated: { exitCode: 137, finishedAt: new Date(at) } },
        },
      ],
    },
  });
  const since = new Date('2026-11-26T10:00:00Z');
  expect(failedContainer(ended('2026-11-26T09:59:59Z'), since)).toBeUndefined();
  expect(failedContainer(ended('2026-11-26T10:00:01Z'), since)?.name).toBe('x');
});

test('a run of before this start, whose end is only noted now, is not told', () => {
  const run = (startedAt: string) => ({
    status: {
      containerStatuses: [
        {
          name: 'x',
          image: 'x',
          imageID: '',
          ready: false,
          restartCount: 1,
          lastState: { terminated: { exitCode: 137, startedAt: new Date(startedAt), finishedAt: new Date('2026-11-26T10:00:01Z') } },
        },
      ],
    },
  });
  const since = new Date('2026-11-26T10:00:00Z');
  expect(failedContainer(run('2026-11-26T09:00:00Z'), since)).toBeUndefined();
  expect(failedContainer(run('2026-11-26T10:00:00Z'), since)?.name).toBe('x');
});
