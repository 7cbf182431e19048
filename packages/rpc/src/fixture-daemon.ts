import type { AppendLanes } from '@kube-aurora/append-lane';
import { systemClock } from '@kube-aurora/clock';
import type { AppendCall, FollowCall } from './api.ts';
import type { Credentials } from './credentials.ts';
import { AuroraRpcError } from './errors.ts';
import type { FramesClient } from './frames-client.ts';
import { listenFrames, type FramesListener } from './frames-server.ts';
import type { AppendRequest, AppendResponse, FollowRequest, GetPagesRequest } from './hot-messages.ts';
import type { CallContext, HotHandlers } from './server.ts';

/** Test fixture: a daemon's port of the hot path, which notes what comes and answers it, and a writer's stream to it. */

export const SEGMENT = { volumeId: 'd1b4f9c8-3b6e-4a63-9d8e-0d6f5f7a1f11', pg: 0 };
export const HELLO: AppendRequest = {
  hello: { role: 'FULL', segment: SEGMENT, epoch: 7n, writerId: 'w', history: [] },
  batches: undefined,
  vdl: 1n,
  pgmrpl: 2n,
};
export const pagesOf = (count: number): GetPagesRequest => ({
  segment: SEGMENT,
  epoch: 1n,
  lsn: 9n,
  keys: Array.from({ length: count }, () => Buffer.alloc(17)),
});

interface HeldRead {
  readonly request: GetPagesRequest;
  readonly context: CallContext;
  readonly answer: () => void;
  readonly fail: (error: Error) => void;
}

export class FixtureDaemon {
  readonly calls: AppendCall[] = [];
  readonly received: AppendRequest[] = [];
  readonly reads: HeldRead[] = [];
  readonly follows: { call: FollowCall; requests: FollowRequest[] }[] = [];
  readonly refused: string[] = [];
  turnedAway = 0;
  /** Answers whose memory nobody needs any more. */
  letGo = 0;
  /** Reads wait until the test answers them. */
  holdsReads = false;

  /** Of one test nothing is left for the next. */
  reset(): void {
    for (const list of [this.calls, this.received, this.reads, this.follows, this.refused]) list.length = 0;
    this.turnedAway = 0;
    this.letGo = 0;
    this.holdsReads = false;
  }

  listen(credentials: Credentials, port = 0, carried: { readonly lanes?: AppendLanes } = {}): Promise<FramesListener> {
    return listenFrames(`127.0.0.1:${port}`, this.#handlers, {
      clock: systemClock(),
      credentials,
      ...carried,
      limits: { connections: 20, connectionsPerAddress: 10 },
      onTurnedAway: () => this.turnedAway++,
      onRefused: (rpc, error) => this.refused.push(`${rpc} ${error.reason}: ${error.message}`),
    });
  }

  readonly #handlers: HotHandlers = {
    append: (call) => {
      this.calls.push(call);
      call.on('data', (request) => {
        this.received.push(request);
        call.write({ scl: BigInt(request.batches?.length ?? 0), result: 'OK', epoch: 7n, message: '', followed: false });
      });
      call.on('end', () => call.end());
    },
    follow: (call) => {
      const requests: FollowRequest[] = [];
      this.follows.push({ call, requests });
      call.on('data', (request) => requests.push(request));
      call.on('end', () => call.end());
    },
    renewLease: ({ epoch, writerId, leaseMs }) => {
      if (writerId === 'overtaken') return Promise.reject(new AuroraRpcError('FENCED', `epoch ${epoch} is over`));
      if (writerId === 'alone') return Promise.resolve({ others: [], readersXmin: 0n, readersCatalogXmin: 0n });
      if (writerId === 'late') return new Promise(() => undefined);
      return Promise.resolve({
        others: [{ epoch: epoch - 1n, writerId: `before ${writerId}`, remainingMs: leaseMs, isGivenBack: true }],
        readersXmin: 0x1_0000_02bcn,
        readersCatalogXmin: 0n,
      });
    },
    getPages: (request, context) =>
      new Promise((resolve, reject) => {
        const room = Buffer.alloc(8192 * request.keys.length, 7);
        const letGo = (): void => {
          this.letGo++;
          // As memory that is used again.
          room.fill(0xdd);
        };
        const answer = (): void => resolve({ present: Buffer.alloc(request.keys.length, 1), pages: [room], letGo });
        this.reads.push({ request, context, answer, fail: reject });
        if (!this.holdsReads) answer();
      }),
  };
}

/** A writer's stream, and what is heard on it. */
export function appendTo(to: FramesClient): {
  write: (message: AppendRequest | Buffer) => boolean;
  end: () => void;
  cancel: () => void;
  answers: AppendResponse[];
  errors: unknown[];
  ends: number;
} {
  const stream = to.append();
  const heard = { answers: [] as AppendResponse[], errors: [] as unknown[], ends: 0 };
  stream.on('data', (answer) => heard.answers.push(answer));
  stream.on('error', (error) => heard.errors.push(error));
  stream.on('end', () => heard.ends++);
  return Object.assign(heard, {
    write: (message: AppendRequest | Buffer) => stream.write(message),
    end: () => void stream.end(),
    cancel: () => stream.cancel(),
  });
}
