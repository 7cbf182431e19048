import type { Clock } from '@kube-aurora/clock';
import {
  Server,
  ServerCredentials,
  type sendUnaryData,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { AppendCall, FollowCall } from './api.ts';
import { listenBounded, SERVER_LIMITS, type ConnectionLimits, type Listening } from './bounded-listener.ts';
import { CHANNEL_OPTIONS } from './client.ts';
import { PLAIN_TEXT, type Credentials } from './credentials.ts';
import { toServiceError } from './errors.ts';
import type { GetPagesRequest, GetPagesResponse } from './hot-messages.ts';
import type {
  CatchUpRequest,
  ComputeImageChunk,
  ComputeImageRequest,
  CopySegmentChunk,
  CopySegmentRequest,
  FetchRedoRequest,
  GetPeerPageRequest,
  GiveBackLeaseRequest,
  GossipRequest,
  ImportBaseRequest,
  LeaseAnswer,
  OpenEpochRequest,
  PageImage,
  RedoChunk,
  RenewLeaseRequest,
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

/** Pages as they are answered. */
export interface PagesAnswer extends GetPagesResponse {
  /** Called once, when nobody needs the pages' memory any more; never, where the answer did not get away. */
  readonly letGo?: () => void;
}

/** What goes over frames. */
export interface HotHandlers {
  /** Owns the stream: reads requests, writes responses, ends it. */
  append(call: AppendCall): void;
  /** Owns the stream, too. */
  follow(call: FollowCall): void;
  getPages(request: GetPagesRequest, context: CallContext): Promise<PagesAnswer>;
  renewLease(request: RenewLeaseRequest, context: CallContext): Promise<LeaseAnswer>;
}

/** What goes over gRPC. */
export interface ControlHandlers {
  openEpoch(request: OpenEpochRequest, context: CallContext): Promise<SegmentState>;
  installHistory(request: InstallHistoryRequest, context: CallContext): Promise<SegmentState>;
  catchUp(request: CatchUpRequest, context: CallContext): Promise<SegmentState>;
  computeImage(request: ComputeImageRequest, context: CallContext): AsyncIterable<ComputeImageChunk>;
  importBase(requests: AsyncIterable<ImportBaseRequest>, context: CallContext): Promise<SegmentState>;
  status(request: SegmentId, context: CallContext): Promise<SegmentState>;
  giveBackLease(request: GiveBackLeaseRequest, context: CallContext): Promise<LeaseAnswer>;
}

export interface SegmentHandlers extends HotHandlers, ControlHandlers {}

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

export function createServer(): Server {
  return new Server({
    ...CHANNEL_OPTIONS,
    'grpc.max_receive_message_length': SERVER_LIMITS.messageBytes,
    'grpc.max_concurrent_streams': SERVER_LIMITS.streamsPerConnection,
  });
}

export function addSegmentService(server: Server, handlers: ControlHandlers, clock: Clock): void {
  const implementation: UntypedServiceImplementation = {
    OpenEpoch: unary(handlers.openEpoch.bind(handlers), clock),
    InstallHistory: unary(handlers.installHistory.bind(handlers), clock),
    CatchUp: unary(handlers.catchUp.bind(handlers), clock),
    ComputeImage: serverStream(handlers.computeImage.bind(handlers), clock),
    ImportBase: clientStream(handlers.importBase.bind(handlers), clock),
    Status: unary(handlers.status.bind(handlers), clock),
    GiveBackLease: unary(handlers.giveBackLease.bind(handlers), clock),
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

/** Who is served what: those who say who they are by their role, and whoever is let in without saying so. */
export interface ServersByRole {
  readonly unnamed: Server;
  readonly compute: Server;
  readonly storage: Server;
}

/** Serves gRPC with bounds on connections. `onRefused` is told of each that is turned away. */
export async function listenGrpc(
  servers: ServersByRole,
  address: string,
  onRefused: () => void,
  limits: ConnectionLimits = SERVER_LIMITS,
  credentials: Credentials = PLAIN_TEXT,
): Promise<Listening> {
  // What comes is decrypted by then.
  const injectorOf = (server: Server) => server.createConnectionInjector(ServerCredentials.createInsecure());
  const injectors = { unnamed: injectorOf(servers.unnamed), compute: injectorOf(servers.compute), storage: injectorOf(servers.storage) };
  const accept = credentials.acceptor({
    part: 'grpc',
    alpn: 'h2',
    roles: ['compute', 'storage'],
    admitted: (stream, identity) => {
      const role = identity?.role === 'compute' || identity?.role === 'storage' ? identity.role : 'unnamed';
      injectors[role].injectConnection(stream);
    },
  });
  const listener = await listenBounded(address, limits, onRefused, accept);
  return {
    port: listener.port,
    close: () => {
      for (const injector of Object.values(injectors)) injector.destroy();
      for (const server of Object.values(servers)) server.forceShutdown();
      listener.close();
    },
  };
}

/** Binds and starts; resolves with the port taken (of use when `address` asks for port 0). */
export function listen(server: Server, address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => {
      if (error !== null) reject(error);
      else resolve(port);
    });
  });
}
