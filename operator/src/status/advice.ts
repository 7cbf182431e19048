import { ADVICE_MAX, ADVICE_SEVERITIES, type AdviceStatus } from '../api/status-types.ts';
import type { Observed } from '../observed/observed.ts';
import type { AgentReport } from '../observed/reports.ts';

const DAY_S = 86_400;
const WITHIN_DAYS = 14;
/** With more than this free there is time, whatever the last days were like. */
const FREE_SHARE = 0.5;
const DISK_FULL_SOON = 'diskFullSoon';

/** What the writer's agent found in its databases, and what storage daemons say of their disks; most urgent first. */
export function adviceStatus(observed: Observed, agent: AgentReport | undefined): readonly AdviceStatus[] | undefined {
  // Of the writer that is: what the one before found it finds again.
  const found = agent?.role === 'reader' ? [] : (agent?.advice ?? []);
  const all = [...diskAdvice(observed), ...found];
  const rank = ({ severity }: AdviceStatus): number => ADVICE_SEVERITIES.indexOf(severity);
  return all.length === 0 ? undefined : all.toSorted((a, b) => rank(a) - rank(b)).slice(0, ADVICE_MAX);
}

/** One finding, of the disk that is full first: more room is given to all of them at once. */
function diskAdvice({ cluster, daemons, now }: Observed): AdviceStatus[] {
  const filling = [...daemons]
    .flatMap(([segment, { diskFree = 1, diskFullInSeconds: seconds }]) =>
      seconds === undefined || diskFree > FREE_SHARE || seconds > WITHIN_DAYS * DAY_S
        ? []
        : [{ segment, days: Math.floor(seconds / DAY_S) }],
    )
    .toSorted((a, b) => a.days - b.days || a.segment.localeCompare(b.segment));
  const [first, ...others] = filling;
  if (first === undefined) return [];
  const { name, namespace } = cluster.metadata;
  const before = cluster.status?.advice?.find(({ id }) => id === DISK_FULL_SOON);
  const when = first.days === 0 ? 'within a day' : first.days === 1 ? 'in a day' : `in ${first.days} days`;
  const beside = others.length === 0 ? '' : `; ${others.length} more ${others.length === 1 ? 'is' : 'are'} within ${WITHIN_DAYS} days`;
  return [
    {
      id: DISK_FULL_SOON,
      severity: first.days === 0 ? 'critical' : 'warning',
      subject: 'storage',
      what: `as it filled lately, the disk of ${first.segment} is full ${when}${beside}; a daemon whose disk is full takes no redo`,
      since: before?.since ?? new Date(now).toISOString(),
      remedy: `raise spec.storage.size, which is ${cluster.spec.storage.size}, where the storage class can grow volumes; or see what takes the room: data, or redo that somebody holds`,
      query: `kubectl aurora storage ${name} -n ${namespace ?? 'default'}`,
    },
  ];
}
