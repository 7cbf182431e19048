import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { isRunning, processMark } from './process-mark.ts';

test('a process is known by its number and its start, until it has ended', async () => {
  const child = spawn('/bin/sleep', ['60']);
  await once(child, 'spawn');
  const mark = processMark(child.pid ?? 0);
  if (mark === undefined) throw new Error('it runs and has no mark');
  expect(mark.pid).toBe(child.pid);
  expect(isRunning(mark)).toBe(true);
  expect(isRunning({ ...mark, startTicks: String(Number(mark.startTicks) - 1) })).toBe(false);
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(processMark(mark.pid)).toBeUndefined();
  expect(isRunning(mark)).toBe(false);
});

test('one that ended and whose exit code nobody has asked for does not run', async () => {
  // The shell's child ends while the shell, which has become a sleep, never asks for it.
  const shell = spawn('/bin/sh', ['-c', '/bin/true & echo $!; exec /bin/sleep 60']);
  const [line] = (await once(shell.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString().trim());
  await expect.poll(() => processMark(pid)).toBeUndefined();
  shell.kill('SIGKILL');
});
