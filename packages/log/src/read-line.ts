/** A program's line of its log, as a person reads it. */
export interface ReadableLine {
  /** RFC 3339; empty where it has none. */
  readonly time: string;
  readonly level: string;
  readonly message: string;
  /** What else it says, as name=value. */
  readonly rest: string;
}

/** Said by the line's own beginning, or of no use to a reader. */
const LEFT_OUT = new Set(['level', 'time', 'msg', 'component', 'cluster', 'instance', 'err', 'more', 'postgres']);
/** Of a record of PostgreSQL: of use to programs. */
const POSTGRES_LEFT_OUT = new Set(['severity', 'session', 'sessionLine', 'backend', 'pid']);

/** Undefined for what is no JSON object: it is shown as it is. */
export function readLine(text: string): ReadableLine | undefined {
  const fields = parseObject(text);
  if (fields === undefined) return undefined;
  const error = objectOf(fields['err'])?.['message'];
  const others = [
    ...Object.entries(fields).filter(([key]) => !LEFT_OUT.has(key)),
    ...Object.entries(objectOf(fields['postgres']) ?? {}).filter(([key]) => !POSTGRES_LEFT_OUT.has(key)),
    ...Object.entries(objectOf(fields['more']) ?? {}),
  ];
  return {
    time: wordOf(fields['time']),
    level: wordOf(fields['level']),
    message: [wordOf(fields['msg']), wordOf(error)].filter((word) => word !== '').join('  '),
    rest: others.map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`).join(' '),
  };
}

const wordOf = (value: unknown): string => (typeof value === 'string' ? value : '');

function objectOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    return objectOf(JSON.parse(text));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
