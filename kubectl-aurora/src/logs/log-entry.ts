import { paint, type Screen, type Tone } from '../text/paint.ts';
import { clockTime } from '../text/units.ts';

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
/** Said by the line's own beginning, or of no use to a reader. */
const LEFT_OUT = new Set(['level', 'time', 'msg', 'component', 'postgres', 'err']);

/** A program's JSON line as a person reads it; anything else as it is. */
export function formatEntry({ pod, time, text }: LogEntry, prefixWidth: number, raw: boolean, screen: Screen): string {
  const prefix = paint(screen, 'dim', `${pod.padEnd(prefixWidth)} |`);
  if (raw) return `${prefix} ${text}`;
  const fields = fieldsOf(text);
  if (fields === undefined) return `${prefix} ${clockTime(time)} ${text}`;
  const level = typeof fields['level'] === 'string' ? fields['level'] : '';
  const error = objectOf(fields['err'])?.['message'];
  const rest = Object.entries(fields)
    .filter(([key]) => !LEFT_OUT.has(key))
    .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  const words = [wordOf(fields['msg']), wordOf(error), paint(screen, 'dim', rest.join(' '))].filter((word) => word !== '');
  return `${prefix} ${clockTime(wordOf(fields['time']) || time)} ${paint(screen, LEVEL_TONE[level] ?? 'plain', level.padEnd(5))} ${words.join('  ')}`;
}

const wordOf = (value: unknown): string => (typeof value === 'string' ? value : '');

function objectOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
}

function fieldsOf(text: string): Readonly<Record<string, unknown>> | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    return objectOf(JSON.parse(text));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
