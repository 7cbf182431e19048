import { EventEmitter } from 'node:events';
import type { AppendStream, SegmentApi } from '@kube-aurora/rpc';
import type { SegmentEndpoint } from '../segments.ts';

/** For tests: an Append stream that keeps what is written to it, and answers as it is told by `emit('data', …)`. */
export class FixtureStream extends EventEmitter implements AppendStream {
  readonly written: unknown[] = [];
  isCancelled = false;
  write(request: unknown): boolean {
    this.written.push(request);
    return true;
  }
  end(): void {
    this.emit('end');
  }
  cancel(): void {
    this.isCancelled = true;
  }
}

/** For tests: full segments, two in each zone, each of which opens its one stream. */
export function fixtureSegments(streams: readonly FixtureStream[]): SegmentEndpoint[] {
  return streams.map((stream, index) => ({
    index,
    id: `s${index}`,
    zone: `z${index >> 1}`,
    role: 'FULL',
    client: { append: () => stream } as unknown as SegmentApi,
  }));
}
