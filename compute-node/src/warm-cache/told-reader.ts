import type { AskWriterOptions } from '../election/ask-writer.ts';
import { nextWriter } from '../election/next-writer.ts';
import type { WarmCacheSettings } from '../election/place-settings.ts';
import type { NextReader } from './tell-hot-pages.ts';

/** The session that a writer tells of its local pages: that of the next writer, while the settings want its cache to be warm. */
export function toldReader(asking: AskWriterOptions & { readonly place: WarmCacheSettings }): NextReader {
  return (signal) => (asking.place.warmPagesPerSecond === 0 ? Promise.resolve(undefined) : nextWriter(asking, signal));
}
