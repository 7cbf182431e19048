import { parseLsn } from '@kube-aurora/pg-format';
import { INSTANCE_ROLES, type AdviceStatus, type InstanceRole, type LostSlot } from '../api/status-types.ts';
import { readAdvice } from './agent-advice.ts';
import { readFailover, type ReportedFailover } from './agent-failover.ts';
import type { ReportedFault } from './faults.ts';
import { listedText, lsnField, numberField, objectFields, present, textField } from './fields.ts';
import { readFault } from './read-fault.ts';

/** One poll of a program's /status. Replies are data from the network: every field is checked, none is trusted. */
interface Poll {
  /** Why it does not use the certificates that it was given last, for people; undefined while it does. */
  readonly identityProblem?: string;
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

/** What an agent says of PostgreSQL's parameters; sets are named by a fingerprint of their text. */
export interface ReportedSettings {
  readonly wanted: string;
  readonly running?: string;
  /** applied, pending or refused. */
  readonly state: string;
  /** Why it was refused, in PostgreSQL's own words. */
  readonly message: string;
}

/** What an agent says of a role's password. */
export interface ReportedPassword {
  readonly role: string;
  /** waiting, applied, missing, empty or failed. */
  readonly state: string;
  /** RFC 3339: when it was last changed in the database. */
  readonly changedAt?: string;
  readonly message: string;
}

/** What an agent says of the certificate that clients are shown. */
export interface ReportedTls {
  /** tls or plain. */
  readonly state: string;
  /** Why what is mounted is not in force. */
  readonly message: string;
}

/** What an agent says of the port where tokens are passwords. */
export interface ReportedTokenPort {
  /** closed, opening, listening or failed. */
  readonly state: string;
  /** What is in the way of logins; empty when nothing is. */
  readonly message: string;
}

export interface ReportedLoad {
  /** Of clients. */
  readonly connections: number;
  /** Thousandths of a core, on average over some time. */
  readonly cpuMillicores: number;
  /** Cores that it may use; at least one. */
  readonly cpus: number;
}

export interface AgentReport extends Poll {
  readonly phase: string;
  /** What it is at present: which compute writes is decided through storage, by the computes. Undefined: it does not say. */
  readonly role?: InstanceRole;
  /** Of this very answer: with it one can wait for the next change. */
  readonly version?: string;
  /** Replication slots that the writer before had and that it has not; of a writer alone, where there are any. */
  readonly lostSlots?: readonly LostSlot[];
  /** The last time that it took another instance's place. */
  readonly failover?: ReportedFailover;
  readonly epoch?: number;
  readonly vdl?: string;
  readonly startedAt?: string;
  /** Of a reader: it shows the database as of this LSN. */
  readonly replayLsn?: string;
  /** Of a reader: milliseconds that what it shows is behind what is durable. */
  readonly lagMs?: number;
  /** Of a reader: the segment that its redo comes from; undefined while it gets none. */
  readonly source?: string;
  /** Of a reader: milliseconds since 1970 since when it gets no redo; what lag it tells is of then. */
  readonly cutOffSince?: number;
  /** When it takes a lost writer's place: 0 is first. */
  readonly promotionTier?: number;
  /** Of the reader that would be the next writer: of the pages in the writer's cache, how many of a hundred are in its own. */
  readonly cacheWarmPercent?: number;
  /** How much it has to do. */
  readonly load?: ReportedLoad;
  /** What there is to do in its database; undefined while it has not looked. */
  readonly advice?: readonly AdviceStatus[];
  readonly segments: readonly ReportedSegment[];
  readonly settings?: ReportedSettings;
  /** Who may log in: lines of pg_hba.conf, named as parameters are. */
  readonly loginRules?: ReportedSettings;
  readonly tls?: ReportedTls;
  readonly tokenPort?: ReportedTokenPort;
  readonly passwords?: readonly ReportedPassword[];
  readonly reason?: AgentReason;
  /** RFC 3339: since when phase and reason are what they are. */
  readonly since?: string;
  /** Why it is not running, in its own words; for people only. */
  readonly message?: string;
  /** The last PostgreSQL that was lost or did not start, while others are tried. */
  readonly failure?: { readonly reason: AgentReason; readonly message: string; readonly at?: string };
}

/** Why a compute agent is in its phase; decisions are made by this and never by its message. */
export const AGENT_REASONS = [
  'none',
  'awaitingTurn',
  'takingOver',
  'initdbRefused',
  'waitingForStorage',
  'engineMismatch',
  'rolesMismatch',
  'volumeMissing',
  'startingPostgres',
  'postgresFailed',
  'settingsRefused',
  'imageFailed',
  'damagedWal',
  'noQuorum',
  'fenced',
  'stopping',
] as const;
export type AgentReason = (typeof AGENT_REASONS)[number];

export interface DaemonReport extends Poll {
  readonly state: string;
  readonly scl?: string;
  readonly vdl?: string;
  readonly bytesUsed?: number;
  /** The share of its disk that is free, from 0 to 1. */
  readonly diskFree?: number;
  /** When that is full, as it filled lately; undefined while it does not fill, or the daemon has not looked for long enough. */
  readonly diskFullInSeconds?: number;
  readonly fault?: ReportedFault;
  /**
   * It may have acknowledged redo that it does not hold: no proof of anything until it has recovered it from its peers.
   */
  readonly mustRecover?: boolean;
  /** A tail holds pages in the place of this full segment, since then (RFC 3339), for this reason. */
  readonly standIn?: { readonly of: string; readonly since: string; readonly reason: string };
  /** Fingerprint of the key that wraps this copy's data key; of an encrypted one. */
  readonly wrappedBy?: string;
  /** Of the key that wraps now. */
  readonly wrapsWith?: string;
  /** Why the key that it was given last is not in use, for people. */
  readonly keyProblem?: string;
  /** It waits for a key before it opens anything, since then. */
  readonly keyAwaitedSince?: string;
  /** For people only. */
  readonly message?: string;
}

/** Both in PostgreSQL's notation; absent is 0. */
function isAhead(a: string | undefined, b: string | undefined): boolean {
  return parseLsn(a ?? '0/0') > parseLsn(b ?? '0/0');
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function failureOf(value: unknown): AgentReport['failure'] {
  const failure = objectFields(value);
  const reason = listedText(AGENT_REASONS, failure['reason']);
  const message = textField(failure['message']);
  const at = textField(failure['at']);
  return reason === undefined || message === undefined ? undefined : { reason, message, ...(at === undefined ? {} : { at }) };
}

function settingsOf(value: unknown): ReportedSettings | undefined {
  const settings = objectFields(value);
  const wanted = textField(settings['wanted']);
  const state = textField(settings['state']);
  if (wanted === undefined || state === undefined) return undefined;
  return present<ReportedSettings>({
    wanted,
    running: textField(settings['running']),
    state,
    message: textField(settings['message']) ?? '',
  });
}

/** Of what has a state, and words about it. */
function toldState(value: unknown): { readonly state: string; readonly message: string } | undefined {
  const told = objectFields(value);
  const state = textField(told['state']);
  if (state === undefined) return undefined;
  return { state, message: textField(told['message']) ?? '' };
}

function passwordOf(value: unknown): readonly ReportedPassword[] {
  const password = objectFields(value);
  const role = textField(password['role']);
  const state = textField(password['state']);
  if (role === undefined || state === undefined) return [];
  const message = textField(password['message']) ?? '';
  return [present<ReportedPassword>({ role, state, changedAt: textField(password['changedAt']), message })];
}

function loadOf(value: unknown): ReportedLoad | undefined {
  const load = objectFields(value);
  const [connections, cpuMillicores, cpus] = ['connections', 'cpuMillicores', 'cpus'].map((field) => numberField(load[field]));
  return connections === undefined || cpuMillicores === undefined || !cpus ? undefined : { connections, cpuMillicores, cpus };
}

/** Of a share from 0 to 1; a hundred only where nothing is missing. */
function percentOf(share: unknown): number | undefined {
  return typeof share === 'number' && share >= 0 && share <= 1 ? Math.floor(share * 100) : undefined;
}

/** What a status can take of them: the log of the agent has all. */
const LOST_SLOTS_MAX = 32;

function lostSlotsOf(value: unknown): readonly LostSlot[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return value.slice(0, LOST_SLOTS_MAX).flatMap((entry: unknown) => {
    const slot = objectFields(entry);
    const [name, why, at] = [textField(slot['name']), textField(slot['why']), textField(slot['at'])];
    return name === undefined || why === undefined || at === undefined || Number.isNaN(Date.parse(at)) ? [] : [{ name, why, at }];
  });
}

/** Reads a compute agent's /status. */
export function readAgentStatus(body: unknown, uid: string, now: number): AgentReport {
  const status = objectFields(body);
  return present<AgentReport>({
    uid,
    answeredAt: now,
    silentSince: undefined,
    phase: textField(status['phase']) ?? 'unknown',
    version: textField(status['version']),
    role: listedText(INSTANCE_ROLES, status['role']),
    failover: readFailover(status['failover']),
    lostSlots: lostSlotsOf(status['lostReplicationSlots']),
    // Epochs begin at 1: 0 is an agent that has opened nothing yet.
    epoch: numberField(status['epoch']) || undefined,
    vdl: lsnField(status['vdl']),
    startedAt: textField(status['startedAt']),
    replayLsn: lsnField(status['replayLsn']),
    lagMs: numberField(typeof status['lagMs'] === 'number' ? Math.round(status['lagMs']) : status['lagMs']),
    reason: listedText(AGENT_REASONS, status['reason']),
    since: textField(status['since']),
    message: textField(status['message']),
    failure: failureOf(status['lastFailure']),
    settings: settingsOf(status['settings']),
    loginRules: settingsOf(status['loginRules']),
    tls: toldState(status['tls']),
    tokenPort: toldState(status['tokenPort']),
    passwords: Array.isArray(status['passwords']) ? status['passwords'].flatMap(passwordOf) : undefined,
    source: textField(status['source']),
    promotionTier: numberField(status['promotionTier']),
    cacheWarmPercent: percentOf(objectFields(status['warmth'])['share']),
    load: loadOf(status['load']),
    advice: readAdvice(status['advice']),
    identityProblem: textField(objectFields(status['identity'])['problem']),
    segments: listOf(status['segments']).flatMap((entry) => {
      const segment = objectFields(entry);
      const id = textField(segment['id']);
      if (id === undefined) return [];
      return [
        present<ReportedSegment>({
          id,
          state: (textField(segment['state']) ?? 'unknown').toUpperCase(),
          scl: lsnField(segment['scl']),
          behindBytes: numberField(segment['behindBytes']),
        }),
      ];
    }),
  });
}

/** With the time since when a reader that runs gets no redo, from what it said before. */
export function withCutOff(report: AgentReport, previous: AgentReport, now: number): AgentReport {
  const isCutOff = report.phase === 'running' && report.replayLsn !== undefined && report.source === undefined;
  return isCutOff ? { ...report, cutOffSince: previous.cutOffSince ?? now } : report;
}

/**
 * Reads a storage daemon's /status: of its segments, the one of this volume and protection group (EMPTY when it has
 * none).
 */
export function readDaemonStatus(body: unknown, uid: string, of: { volumeId: string; pg: number }, now: number): DaemonReport {
  const status = objectFields(body);
  const segment = listOf(status['segments'])
    .map(objectFields)
    .find((entry) => textField(entry['volumeId']) === of.volumeId && numberField(entry['pg']) === of.pg);
  const keyAwaitedSince = textField(objectFields(status['encryption'])['waitingSince']);
  return present<DaemonReport>({
    uid,
    answeredAt: now,
    silentSince: undefined,
    // One that has opened nothing yet does not know what it holds.
    state:
      keyAwaitedSince !== undefined
        ? 'UNKNOWN'
        : segment === undefined
          ? 'EMPTY'
          : (textField(segment['phase']) ?? textField(segment['state']) ?? 'unknown').toUpperCase(),
    scl: lsnField(segment?.['scl']),
    vdl: lsnField(segment?.['vdl']),
    bytesUsed: numberField(segment?.['bytesUsed']),
    diskFree: shareOf(objectFields(status['disk'])),
    diskFullInSeconds: numberField(objectFields(status['disk'])['fullInSeconds']),
    fault: readFault(segment?.['fault']),
    mustRecover: isAhead(lsnField(segment?.['recoverToLsn']), lsnField(segment?.['scl'])) || undefined,
    standIn: standInOf(segment?.['standIn']),
    wrappedBy: textField(objectFields(segment?.['encryption'])['wrappedBy']),
    wrapsWith: textField(objectFields(status['encryption'])['wrapsWith']),
    keyProblem: textField(objectFields(status['encryption'])['problem']),
    keyAwaitedSince,
    identityProblem: textField(objectFields(status['identity'])['problem']),
    message: textField(segment?.['message']) ?? textField(status['message']),
  });
}

function shareOf({ freeBytes, totalBytes }: Readonly<Record<string, unknown>>): number | undefined {
  const [free, total] = [numberField(freeBytes), numberField(totalBytes)];
  return free === undefined || !total ? undefined : free / total;
}

/** The last moment that a date can be. */
const DATE_MS_MAX = 8.64e15;

function standInOf(value: unknown): DaemonReport['standIn'] {
  const standIn = objectFields(value);
  const of = textField(standIn['of']);
  const since = numberField(standIn['sinceUnixMs']);
  if (of === undefined || since === undefined || since > DATE_MS_MAX) return undefined;
  return { of, since: new Date(since).toISOString(), reason: textField(standIn['reason']) ?? 'UNKNOWN' };
}

/** The same program, still silent: what it said last is kept, with the time since when it says nothing. */
export function silent<T extends Poll>(previous: T, now: number): T {
  return { ...previous, silentSince: previous.silentSince ?? now };
}

export function isSilent(report: Poll | undefined): boolean {
  return report === undefined || report.answeredAt === undefined || report.silentSince !== undefined;
}
