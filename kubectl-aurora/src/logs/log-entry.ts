import { readLine } from '@kube-aurora/log';
import { paint, type Screen, type Tone } from '../text/paint.ts';
import { clockTime } from '@kube-aurora/cluster-view';

/** For a person; as the programs wrote it, behind the name of the pod; or for other programs, each line a JSON object. */
export type LogFormat = 'text' | 'raw' | 'json';

/** A line of a pod's log, with the time that its node gave it. */
export interface LogEntry {
  readonly pod: string;
  /** RFC 3339; it sorts as text within a second, and Z is the zone. */
  readonly time: string;
  readonly text: string;
}

/** Reads `TIME TEXT`, as the API gives lines with timestamps. */
export function readLogLine(pod: string, line: string): LogEntry {
  const space = line.indexOf(' ');
  return space < 0 ? { pod, time: '', text: line } : { pod, time: line.slice(0, space), text: line.slice(space + 1) };
}

/** Oldest first; what came at the same time stays in the order of its pod. Nodes give nine digits of a second or fewer. */
export function byTime(entries: readonly LogEntry[]): LogEntry[] {
  return entries.toSorted((a, b) => compareTimes(a.time, b.time));
}

function compareTimes(a: string, b: string): number {
  const [left, right] = [a, b].map((time) => time.replace(/Z$/, ''));
  return (left ?? '') < (right ?? '') ? -1 : Number((left ?? '') > (right ?? ''));
}

const LEVEL_TONE: Readonly<Record<string, Tone>> = { debug: 'dim', trace: 'dim', warn: 'warn', error: 'bad', fatal: 'bad' };
/** A program's JSON line as a person reads it; anything else as it is. */
export function formatEntry({ pod, time, text }: LogEntry, prefixWidth: number, how: LogFormat, screen: Screen): string {
  if (how === 'json') return readLine(text) === undefined ? JSON.stringify({ time, instance: pod, msg: text }) : text;
  const prefix = paint(screen, 'dim', `${pod.padEnd(prefixWidth)} |`);
  if (how === 'raw') return `${prefix} ${text}`;
  const line = readLine(text);
  if (line === undefined) return `${prefix} ${clockTime(time)} ${text}`;
  const level = paint(screen, LEVEL_TONE[line.level] ?? 'plain', line.level.padEnd(5));
  const words = [line.message, paint(screen, 'dim', line.rest)].filter((word) => word !== '');
  return `${prefix} ${clockTime(line.time || time)} ${level} ${words.join('  ')}`;
}
