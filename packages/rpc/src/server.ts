import type { Clock } from '@kube-aurora/clock';
import {
  Server,
  type sendUnaryData,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { createServer as createTcpServer, type Socket } from 'node:net';
import { JoinedAppendCall } from './append-parts.ts';
import { CHANNEL_OPTIONS } from './client.ts';
import type { AppendCall } from './api.ts';
import { PLAIN_TEXT, type Credentials } from './credentials.ts';
import { toServiceError } from './errors.ts';
import type {
  AppendRequest,
  AppendResponse,
  CatchUpRequest,
  ComputeImageChunk,
  ComputeImageRequest,
  CopySegmentChunk,
  CopySegmentRequest,
  FetchRedoRequest,
  GetPagesRequest,
  GetPagesResponse,
  GetPeerPageRequest,
  GossipRequest,
  ImportBaseRequest,
  OpenEpochRequest,
  PageImage,
  RedoChunk,
  SegmentId,
  SegmentState,
  InstallHistoryRequest,
} from './messages.ts';
import { PEER_SERVICE, SEGMENT_SERVICE } from './service-definition.ts';

/** What a call can learn of its caller: when to give up, and whether the caller already has. */
export interface CallContext {
  /** Milliseconds on the clock's `now`, or Infinity. */
  readonly deadline: number;
  readonly signal: AbortSignal;
}

export interface SegmentHandlers {
  /** Owns the stream: reads requests, writes responses, ends it. */
  append(call: AppendCall): void;
  openEpoch(request: OpenEpochRequest, context: CallContext): Promise<SegmentState>;
  installHistory(request: InstallHistoryRequest, context: CallContext): Promise<SegmentState>;
  catchUp(request: CatchUpRequest, context: CallContext): Promise<SegmentState>;
  getPages(request: GetPagesRequest, context: CallContext): Promise<GetPagesResponse>;
  computeImage(request: ComputeImageRequest, context: CallContext): AsyncIterable<ComputeImageChunk>;
  importBase(requests: AsyncIterable<ImportBaseRequest>, context: CallContext): Promise<SegmentState>;
  status(request: SegmentId, context: CallContext): Promise<SegmentState>;
}

export interface PeerHandlers {
  gossip(request: GossipRequest, context: CallContext): Promise<SegmentState>;
  fetchRedo(request: FetchRedoRequest, context: CallContext): AsyncIterable<RedoChunk>;
  copySegment(request: CopySegmentRequest, context: CallContext): AsyncIterable<CopySegmentChunk>;
  getPeerPage(request: GetPeerPageRequest, context: CallContext): Promise<PageImage>;
}

interface CancellableCall {
  getDeadline(): Date | number;
  on(event: 'cancelled', listener: () => void): unknown;
}

/** gRPC's deadlines are of the calendar; ours of a clock that nobody sets. */
function contextOf(call: CancellableCall, clock: Clock): CallContext {
  const controller = new AbortController();
  call.on('cancelled', () => controller.abort());
  return { deadline: Number(call.getDeadline()) - clock.wallTime() + clock.now(), signal: controller.signal };
}

function unary<Request, Response>(handle: (request: Request, context: CallContext) => Promise<Response>, clock: Clock) {
  return (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>): void => {
    handle(call.request, contextOf(call, clock)).then(
      (response) => callback(null, response),
      (error: unknown) => callback(toServiceError(error)),
    );
  };
}

function serverStream<Request, Response>(handle: (request: Request, context: CallContext) => AsyncIterable<Response>, clock: Clock) {
  return (call: ServerWritableStream<Request, Response>): void => {
    const context = contextOf(call, clock);
    const send = async (): Promise<void> => {
      for await (const message of handle(call.request, context)) {
        if (context.signal.aborted) return;
        if (!call.write(message)) {
          await new Promise<void>((resolve) => {
            call.once('drain', resolve);
            context.signal.addEventListener('abort', () => resolve(), { once: true });
          });
        }
      }
    };
    send().then(
      () => call.end(),
      (error: unknown) => call.emit('error', toServiceError(error)),
    );
  };
}

function clientStream<Request, Response>(
  handle: (requests: AsyncIterable<Request>, context: CallContext) => Promise<Response>,
  clock: Clock,
) {
  return (call: ServerReadableStream<Request, Response>, callback: sendUnaryData<Response>): void => {
    handle(call as AsyncIterable<Request>, contextOf(call, clock)).then(
      (response) => callback(null, response),
      (error: unknown) => callback(toServiceError(error)),
    );
  };
}

/** One redo batch, whatever its size: the longest that a batch may be (packages/volume). It comes in parts. */
const APPEND_BYTES_MAX = 1056 * 1024 * 1024;

/**
 * What anybody who can reach a server may have of it. A message: the longest are an import's first, with a new database's
 * VolumeState, and its pages. Streams of one connection: reads that wait; further ones wait at the caller's end.
 */
export const SERVER_LIMITS = {
  messageBytes: 16 * 1024 * 1024,
  streamsPerConnection: 128,
  connections: 256,
  connectionsPerAddress: 64,
} as const;

export function createServer(): Server {
  return new Server({
    ...CHANNEL_OPTIONS,
    'grpc.max_receive_message_length': SERVER_LIMITS.messageBytes,
    'grpc.max_concurrent_streams': SERVER_LIMITS.streamsPerConnection,
  });
}

export function addSegmentService(server: Server, handlers: SegmentHandlers, clock: Clock): void {
  const implementation: UntypedServiceImplementation = {
    Append: (call: ServerDuplexStream<AppendRequest, AppendResponse>) => handlers.append(new JoinedAppendCall(call, APPEND_BYTES_MAX)),
    OpenEpoch: unary(handlers.openEpoch.bind(handlers), clock),
    InstallHistory: unary(handlers.installHistory.bind(handlers), clock),
    CatchUp: unary(handlers.catchUp.bind(handlers), clock),
    GetPages: unary(handlers.getPages.bind(handlers), clock),
    ComputeImage: serverStream(handlers.computeImage.bind(handlers), clock),
    ImportBase: clientStream(handlers.importBase.bind(handlers), clock),
    Status: unary(handlers.status.bind(handlers), clock),
  };
  server.addService(SEGMENT_SERVICE, implementation);
}

export function addPeerService(server: Server, handlers: PeerHandlers, clock: Clock): void {
  const implementation: UntypedServiceImplementation = {
    Gossip: unary(handlers.gossip.bind(handlers), clock),
    FetchRedo: serverStream(handlers.fetchRedo.bind(handlers), clock),
    CopySegment: serverStream(handlers.copySegment.bind(handlers), clock),
    GetPeerPage: unary(handlers.getPeerPage.bind(handlers), clock),
  };
  server.addService(PEER_SERVICE, implementation);
}

/** A server that is listening. */
export interface Listening {
  readonly port: number;
  /** Ends every connection. */
  readonly close: () => void;
}

/** Serves with bounds on connections: all of them, and those of one address. `onRefused` is told of each that is turned away. */
export function listenBounded(
  server: Server,
  address: string,
  onRefused: () => void,
  limits: { readonly connections: number; readonly connectionsPerAddress: number } = SERVER_LIMITS,
  credentials: Credentials = PLAIN_TEXT,
): Promise<Listening> {
  const injector = server.createConnectionInjector(credentials.server);
  const open = new Map<string, number>();
  const sockets = new Set<Socket>();
  const listener = createTcpServer((socket) => {
    const from = socket.remoteAddress ?? '';
    const count = open.get(from) ?? 0;
    if (sockets.size >= limits.connections || count >= limits.connectionsPerAddress) {
      onRefused();
      socket.destroy();
      return;
    }
    open.set(from, count + 1);
    sockets.add(socket);
    socket.on('close', () => {
      sockets.delete(socket);
      const left = (open.get(from) ?? 1) - 1;
      if (left > 0) open.set(from, left);
      else open.delete(from);
    });
    // A connection that breaks is closed; its calls end with it, and say so to whoever made them.
    socket.on('error', () => socket.destroy());
    socket.setNoDelay(true);
    injector.injectConnection(socket);
  });
  const at = address.lastIndexOf(':');
  const host = address.slice(0, at).replace(/^\[(.*)\]$/, '$1');
  return new Promise((resolve, reject) => {
    listener.once('error', reject);
    listener.listen({ host, port: Number(address.slice(at + 1)) }, () => {
      listener.off('error', reject);
      const bound = listener.address();
      resolve({
        port: typeof bound === 'object' && bound !== null ? bound.port : 0,
        close: () => {
          listener.close();
          injector.destroy();
          server.forceShutdown();
          for (const socket of sockets) socket.destroy();
        },
      });
    });
  });
}

/** Binds and starts; resolves with the port taken (of use when `address` asks for port 0). */
export function listen(server: Server, address: string, credentials: Credentials = PLAIN_TEXT): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials.server, (error, port) => {
      if (error !== null) reject(error);
      else resolve(port);
    });
  });
}
