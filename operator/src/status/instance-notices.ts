import { formatMs } from '../api/duration.ts';
import type { AuroraClusterStatus, InstanceStatus } from '../api/status-types.ts';
import type { Notice } from '../plan/actions.ts';
import { servingReaders } from './readers-verdict.ts';

/** What became different of the readers between two statuses, as events. */
export function readerNotices(before: AuroraClusterStatus | undefined, after: AuroraClusterStatus, now: number): readonly Notice[] {
  const readers = (after.instances ?? []).filter(({ role }) => role === 'reader');
  const notices = readers.flatMap((reader) =>
    noticeOf(
      before?.instances?.find(({ name }) => name === reader.name),
      reader,
      now,
    ),
  );
  const lost = servingReaders(before?.instances).length > 0 && servingReaders(after.instances).length === 0;
  if (lost && readers.length > 0) {
    const message = `No reader can be read: ${after.endpoints?.readOnly ?? 'its Service'} leads to the writer until one can`;
    notices.push({ type: 'Warning', reason: 'ReadsOnWriter', message });
  }
  return notices;
}

function noticeOf(before: InstanceStatus | undefined, reader: InstanceStatus, now: number): Notice[] {
  const { name, state, zone = 'some zone' } = reader;
  if (before?.state === state) return [];
  const lasted = before === undefined ? '' : ` after ${formatMs(Math.max(0, now - Date.parse(before.since)))}`;
  const why = reader.message === undefined ? '' : `: ${reader.message}`;
  const lag = reader.lagMs === undefined ? '' : ` by ${formatMs(reader.lagMs)}`;
  const notice = (type: Notice['type'], reason: string, message: string): Notice[] => [{ type, reason, message }];
  switch (state) {
    case 'Serving':
      if (before?.state === 'Lagging')
        return notice('Normal', 'ReaderCaughtUp', `Reader ${name} has caught up${lasted} and serves reads again`);
      if (before?.state === 'Lost') return notice('Normal', 'ReaderRecovered', `Reader ${name} serves reads again${lasted}`);
      return notice('Normal', 'ReaderReady', `Reader ${name} in ${zone} serves reads${lasted}`);
    case 'Lagging':
      return notice(
        'Warning',
        'ReaderLagging',
        `Reader ${name} is behind${lag}, more than it may be: it gets no new reads until it has caught up`,
      );
    case 'Lost':
      return notice('Warning', 'ReaderUnavailable', `Reader ${name} serves no reads${why}`);
    case 'Starting':
      return [];
  }
}
