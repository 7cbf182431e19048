import type { AuroraClusterStatus, FailoverPhases, FailoverStatus, SwitchoverStatus, SwitchoverTransactions } from '../api/status-types.ts';

/** The writer's place went from one instance to another, or should have. */
export type Handover =
  | { readonly kind: 'failover'; readonly reason: FailoverStatus['reason']; readonly tookMs: number; readonly phases: FailoverPhases }
  | {
      readonly kind: 'switchover';
      readonly cause: SwitchoverStatus['cause'];
      readonly outcome: Exclude<SwitchoverStatus['state'], 'InProgress'>;
      /** Of one that was done. */
      readonly tookMs: number | undefined;
      readonly phases: FailoverPhases;
      /** Of one that was done, where it is known. */
      readonly transactions: SwitchoverTransactions | undefined;
    };

/**
 * What came to its end between two statuses, for metrics. From statuses alone: an operator that was away meanwhile counts what it finds
 * when it is back, and none twice.
 */
export function handoversBetween(before: AuroraClusterStatus | undefined, after: AuroraClusterStatus): readonly Handover[] {
  const { failover, switchover } = after;
  const handovers: Handover[] = [];
  if (failover !== undefined && failover.at !== before?.failover?.at) {
    const { reason, tookMs, phases } = failover;
    handovers.push({ kind: 'failover', reason, tookMs, phases });
  }
  const was = before?.switchover;
  const isNews = switchover?.startedAt !== was?.startedAt || switchover?.state !== was?.state;
  if (switchover !== undefined && switchover.state !== 'InProgress' && isNews) {
    const { cause, state: outcome, startedAt, endedAt, phases = {}, transactions } = switchover;
    const tookMs = outcome === 'Done' && endedAt !== undefined ? Math.max(0, Date.parse(endedAt) - Date.parse(startedAt)) : undefined;
    handovers.push({ kind: 'switchover', cause, outcome, tookMs, phases, transactions });
  }
  return handovers;
}
