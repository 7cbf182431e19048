import { formatLsn, parseLsn } from '@kube-aurora/pg-format';

/** One poll of a program's /status. Replies are data from the network: every field is checked, none is trusted. */
interface Poll {
  /** uid of the pod that was asked; a report about another pod of the same name says nothing. */
  readonly uid: string;
  /** Milliseconds since 1970 of the last answer; undefined when it never answered. */
  readonly answeredAt?: number;
  /** Milliseconds since 1970 since when it does not answer; undefined while it does. */
  readonly silentSince?: number;
}

export interface ReportedSegment {
  readonly id: string;
  readonly state: string;
  readonly scl?: string;
  readonly behindBytes?: number;
}

export interface AgentReport extends Poll {
  readonly phase: string;
  readonly epoch?: number;
  readonly vdl?: string;
  readonly startedAt?: string;
  readonly segments: readonly ReportedSegment[];
  /** Why it is not running, in its own words. */
  readonly message?: string;
}

export interface DaemonReport extends Poll {
  readonly state: string;
  readonly scl?: string;
  readonly vdl?: string;
  readonly bytesUsed?: number;
  readonly message?: string;
}

type Fields = Readonly<Record<string, unknown>>;

function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value.slice(0, 500) : undefined;
}

function numberOf(value: unknown): number | undefined {
  const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 ? number : undefined;
}

/** PostgreSQL's notation, from that notation or from a plain number; 0 is PostgreSQL's "none". */
function lsnOf(value: unknown): string | undefined {
  const text = anyLsnOf(value);
  return text === '0/0' ? undefined : text;
}

function anyLsnOf(value: unknown): string | undefined {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return formatLsn(BigInt(value));
  if (typeof value !== 'string') return undefined;
  if (/^\d{1,20}$/.test(value)) return formatLsn(BigInt(value));
  try {
    return formatLsn(parseLsn(value));
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** Drops what is undefined, so that optional fields are absent. */
function present<T extends object>(value: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== undefined)) as T;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Reads a compute agent's /status. */
export function readAgentStatus(body: unknown, uid: string, now: number): AgentReport {
  const status = fields(body);
  return present<AgentReport>({
    uid,
    answeredAt: now,
    silentSince: undefined,
    phase: textOf(status['phase']) ?? 'unknown',
    // Epochs begin at 1: 0 is an agent that has opened nothing yet.
    epoch: numberOf(status['epoch']) || undefined,
    vdl: lsnOf(status['vdl']),
    startedAt: textOf(status['startedAt']),
    message: textOf(status['message']),
    segments: listOf(status['segments']).flatMap((entry) => {
      const segment = fields(entry);
      const id = textOf(segment['id']);
      if (id === undefined) return [];
      return [
        present<ReportedSegment>({
          id,
          state: (textOf(segment['state']) ?? 'unknown').toUpperCase(),
          scl: lsnOf(segment['scl']),
          behindBytes: numberOf(segment['behindBytes']),
        }),
      ];
    }),
  });
}

/** Reads a storage daemon's /status: of its segments, the one of this volume (EMPTY when it has none). */
export function readDaemonStatus(body: unknown, uid: string, volumeId: string, now: number): DaemonReport {
  const status = fields(body);
  const segment = listOf(status['segments'])
    .map(fields)
    .find((entry) => textOf(entry['volumeId']) === volumeId && (numberOf(entry['pg']) ?? 0) === 0);
  return present<DaemonReport>({
    uid,
    answeredAt: now,
    silentSince: undefined,
    state: segment === undefined ? 'EMPTY' : (textOf(segment['phase']) ?? textOf(segment['state']) ?? 'unknown').toUpperCase(),
    scl: lsnOf(segment?.['scl']),
    vdl: lsnOf(segment?.['vdl']),
    bytesUsed: numberOf(segment?.['bytesUsed']),
    message: textOf(segment?.['message']) ?? textOf(status['message']),
  });
}

/** The same program, still silent: what it said last is kept, with the time since when it says nothing. */
export function silent<T extends Poll>(previous: T, now: number): T {
  return { ...previous, silentSince: previous.silentSince ?? now };
}

export function isSilent(report: Poll | undefined): boolean {
  return report === undefined || report.answeredAt === undefined || report.silentSince !== undefined;
}
