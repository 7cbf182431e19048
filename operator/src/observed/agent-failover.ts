import { FAILOVER_PHASES, type FailoverPhases, type SwitchoverTransactions } from '../api/status-types.ts';
import { listedText, numberField, objectFields, textField } from './fields.ts';

const FAILOVER_REASONS = ['silent', 'postgresDied', 'switchover'] as const;
export type FailoverReason = (typeof FAILOVER_REASONS)[number];

/** The last time that an agent took another instance's place. */
export interface ReportedFailover {
  readonly reason: FailoverReason;
  readonly from: string;
  /** RFC 3339: when it was decided. */
  readonly at: string;
  /** The reader's PostgreSQL went on as the writer's. */
  readonly inPlace: boolean;
  readonly phases: FailoverPhases;
  /** Of a switchover, where it is known. */
  readonly transactions?: SwitchoverTransactions;
}

export function readFailover(value: unknown): ReportedFailover | undefined {
  const failover = objectFields(value);
  const reason = listedText(FAILOVER_REASONS, failover['reason']);
  const from = textField(failover['fromInstance']);
  const at = textField(failover['at']);
  if (reason === undefined || from === undefined || at === undefined || Number.isNaN(Date.parse(at))) return undefined;
  const told = objectFields(failover['phases']);
  const phases: FailoverPhases = Object.fromEntries(
    FAILOVER_PHASES.flatMap((phase) => {
      const ms = numberField(told[phase]);
      return ms === undefined ? [] : [[phase, ms]];
    }),
  );
  const { finished, cutOff } = objectFields(failover['transactions']);
  const [ended, lost] = [numberField(finished), numberField(cutOff)];
  return {
    reason,
    from,
    at,
    inPlace: failover['inPlace'] === true,
    phases,
    ...(ended === undefined || lost === undefined ? {} : { transactions: { finished: ended, cutOff: lost } }),
  };
}
