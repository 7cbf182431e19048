import { type ClusterStatus, formatMs, transactionsText, type Switchover } from '@kube-aurora/cluster-view';
import { partsText } from '../status/render-handovers.ts';

/** What the status says of the switchover that was asked for. */
export type Progress =
  /** The operator has yet to take it up. */
  | { readonly kind: 'asked' }
  | { readonly kind: 'under way'; readonly message: string }
  | { readonly kind: 'done'; readonly switchover: Switchover }
  | { readonly kind: 'not done'; readonly state: string; readonly message: string };

/** Pure. `before` is when the last one began that there was before ours: another time is ours, if it has the same aim. */
export function switchoverProgress(status: ClusterStatus | undefined, to: string, before: string | undefined): Progress {
  const found = status?.switchover;
  if (found === undefined || found.startedAt === before || found.to !== to) return { kind: 'asked' };
  const { state, message = '' } = found;
  if (state === 'InProgress') return { kind: 'under way', message };
  return state === 'Done' ? { kind: 'done', switchover: found } : { kind: 'not done', state, message };
}

/** One that was done, in two or three lines. */
export function doneLines({ from = '?', to, phases, transactions, startedAt, endedAt }: Switchover): string[] {
  const took = startedAt === undefined || endedAt === undefined ? '' : ` in ${formatMs(Date.parse(endedAt) - Date.parse(startedAt))}`;
  const parts = partsText(phases);
  return [
    `${to} writes in the place of ${from}${took}`,
    ...(parts === '' ? [] : [`  ${parts}`]),
    ...(transactions === undefined ? [] : [`  ${transactionsText(transactions)}`]),
  ];
}
