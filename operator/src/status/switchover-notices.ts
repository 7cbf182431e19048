import type { AuroraClusterStatus, SwitchoverStatus } from '../api/status-types.ts';
import type { Notice } from '../plan/actions.ts';

const OUTCOME: Readonly<Record<SwitchoverStatus['state'], Pick<Notice, 'type' | 'reason'>>> = {
  InProgress: { type: 'Normal', reason: 'SwitchoverStarted' },
  Done: { type: 'Normal', reason: 'SwitchedOver' },
  Refused: { type: 'Warning', reason: 'SwitchoverRefused' },
  Failed: { type: 'Warning', reason: 'SwitchoverFailed' },
};

/** A switchover that began, or came to its end. */
export function switchoverNotices(before: AuroraClusterStatus | undefined, after: AuroraClusterStatus): readonly Notice[] {
  const [was, is] = [before?.switchover, after.switchover];
  if (is === undefined || (was?.startedAt === is.startedAt && was.state === is.state)) return [];
  const why = is.cause === 'Update' ? ' (its pod is to be replaced)' : '';
  const message = is.state === 'InProgress' ? `${is.to} is asked to take the place of writer ${is.from}${why}` : is.message;
  return [{ ...OUTCOME[is.state], message }];
}
