import type { ConditionReason } from '../api/conditions.ts';

/** A condition without its times. */
export interface Verdict {
  readonly status: 'True' | 'False';
  readonly reason: ConditionReason;
  readonly message: string;
}

export const good = (message: string): Verdict => ({ status: 'True', reason: 'AllGood', message });
export const bad = (reason: ConditionReason, message: string): Verdict => ({ status: 'False', reason, message });
