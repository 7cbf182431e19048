import type { AgentMetrics } from './metrics.ts';
import type { PageReaderOptions } from './read-path/page-reader.ts';
import type { PageSourceOptions } from './read-path/page-source.ts';

export type ReadsObserved = Pick<PageReaderOptions, 'onRead' | 'onError'> & Pick<PageSourceOptions, 'onAheadGone'>;

/** What the metrics count of reads. */
export function readsObserved(metrics: AgentMetrics): ReadsObserved {
  return {
    onRead: ({ seconds, pages, hedged }) => {
      metrics.pageReadSeconds.note(seconds);
      metrics.pagesRead.inc(pages);
      if (hedged) metrics.pageReadsHedged.inc();
    },
    onAheadGone: (pages, used) => {
      metrics.pagesReadAhead.inc(pages);
      metrics.pagesReadAheadUnused.inc(Math.max(0, pages - used));
    },
    onError: (segment, code) => metrics.pageReadErrors.inc({ segment, code }),
  };
}
