import type { ComputePhasesOptions } from '../agent-phases.ts';
import { nextWriter } from '../election/next-writer.ts';
import { homeSegment } from '../placement.ts';
import type { NextReader } from './tell-hot-pages.ts';

/** The session that a writer tells of its local pages: that of the next writer, while the settings want its cache to be warm. */
export function toldReader({ config, segments, place, clock, logger }: ComputePhasesOptions): NextReader {
  const asking = { segments, segment: homeSegment(config.volumeId), place, clock, logger };
  return (signal) => (place.warmPagesPerSecond === 0 ? Promise.resolve(undefined) : nextWriter(asking, signal));
}
