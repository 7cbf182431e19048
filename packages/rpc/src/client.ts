import {
  Client,
  connectivityState,
  Metadata,
  type ChannelCredentials,
  type ChannelOptions,
  type ClientReadableStream,
  type ClientWritableStream,
  type MethodDefinition,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import { afterPatience, type Clock } from '@kube-aurora/clock';
import type { AppendStream, CallOptions, FollowStream, ImportCall, PeerApi, SegmentApi } from './api.ts';
import { PLAIN_TEXT, type Credentials } from './credentials.ts';
import type { Endpoint } from './endpoint-list.ts';
import { AuroraRpcError, fromServiceError } from './errors.ts';
import { FramesClient } from './frames-client.ts';
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

/** What a peer that this process chose to call may answer: whole redo batches (a WAL record is at most 1020 MiB). */
export const MAX_ANSWER_BYTES = 1100 * 1024 * 1024;

export const CHANNEL_OPTIONS: ChannelOptions = {
  'grpc.max_receive_message_length': MAX_ANSWER_BYTES,
  'grpc.max_send_message_length': MAX_ANSWER_BYTES,
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.min_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 300,
  // A stopped or partitioned peer never closes its socket: only a missed ping tells.
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.enable_retries': 0,
  // An answer of pages or redo is larger than HTTP/2's 64 KiB, and would stop half way for a round trip.
  'grpc-node.flow_control_window': 4 * 1024 * 1024,
  'grpc.use_local_subchannel_pool': 1,
};

/**
 * grpc-js ends a call when its timer fires, before it reads what has arrived meanwhile; on a machine that is short of
 * CPU that is a deadline for ourselves. Ours (afterPatience) counts, grpc-js's is for what waits at the other end.
 */
const STARVED_MS = 10_000;

/**
 * A connection that takes longer is to nobody. A pod that is gone leaves an address where nothing answers, which the kernel tries for two
 * minutes, and grpc-js asks for a name's new address only once that has failed.
 */
const CONNECT_MS = 3_000;

class ServiceClient {
  readonly address: string;
  readonly #credentials: Credentials;
  /** What the present client's connections are made with. */
  #channel: ChannelCredentials;
  #client: Client;
  /** Of the clock: since when each call found it connecting. */
  #connectingSince: number | undefined;
  readonly #service: ServiceDefinition;
  readonly #clock: Clock;

  constructor(address: string, service: ServiceDefinition, clock: Clock, credentials: Credentials) {
    this.address = address;
    this.#clock = clock;
    this.#service = service;
    this.#credentials = credentials;
    this.#channel = credentials.channel();
    this.#client = new Client(address, this.#channel, CHANNEL_OPTIONS);
  }

  /**
   * For a call that begins now: a new one when connections are made otherwise by now, or, so that the address is looked up anew, when the present
   * one has been connecting for too long. Calls of the one before go on to their ends.
   */
  #current(): Client {
    if (this.#credentials.channel() !== this.#channel) return this.#renew();
    if (this.#client.getChannel().getConnectivityState(false) !== connectivityState.CONNECTING) {
      this.#connectingSince = undefined;
      return this.#client;
    }
    const now = this.#clock.now();
    this.#connectingSince ??= now;
    if (now - this.#connectingSince >= CONNECT_MS) {
      return this.#renew();
    }
    return this.#client;
  }

  #renew(): Client {
    this.#client.close();
    this.#channel = this.#credentials.channel();
    this.#client = new Client(this.address, this.#channel, CHANNEL_OPTIONS);
    this.#connectingSince = undefined;
    return this.#client;
  }

  method<Request, Response>(name: string): MethodDefinition<Request, Response> {
    const method = this.#service[name];
    if (method === undefined) throw new Error(`no method ${name} in the service`);
    return method as MethodDefinition<Request, Response>;
  }

  unary<Request, Response>(name: string, request: Request, options: CallOptions): Promise<Response> {
    const method = this.method<Request, Response>(name);
    return new Promise((resolve, reject) => {
      if (options.signal?.aborted === true) {
        reject(new AuroraRpcError('UNREACHABLE', `${this.address}: the call was given up before it was sent`));
        return;
      }
      let isLate = false;
      const abort = (): void => call.cancel();
      const patience = afterPatience(this.#clock, options.deadlineMs, () => {
        isLate = true;
        call.cancel();
      });
      const call = this.#current().makeUnaryRequest<Request, Response>(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        new Metadata(),
        { deadline: Date.now() + options.deadlineMs + STARVED_MS },
        (error, response) => {
          patience.cancel();
          options.signal?.removeEventListener('abort', abort);
          if (isLate) reject(new AuroraRpcError('DEADLINE', `${this.address}: ${name} had no answer in ${options.deadlineMs} ms`));
          else if (error !== null) reject(fromServiceError(error, this.address));
          else if (response === undefined) reject(new AuroraRpcError('INTERNAL', `${this.address}: ${name} answered nothing`));
          else resolve(response);
        },
      );
      options.signal?.addEventListener('abort', abort, { once: true });
    });
  }

  serverStream<Request, Response>(name: string, request: Request, options: CallOptions): ClientReadableStream<Response> {
    const method = this.method<Request, Response>(name);
    const call = this.#current().makeServerStreamRequest<Request, Response>(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      { deadline: Date.now() + options.deadlineMs },
    );
    options.signal?.addEventListener('abort', () => call.cancel(), { once: true });
    return call;
  }

  clientStream<Request, Response>(name: string, options: CallOptions): { call: ClientWritableStream<Request>; answer: Promise<Response> } {
    const method = this.method<Request, Response>(name);
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    const call = this.#current().makeClientStreamRequest<Request, Response>(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      new Metadata(),
      { deadline: Date.now() + options.deadlineMs },
      (error, response) => {
        if (error !== null) reject(fromServiceError(error, this.address));
        else if (response === undefined) reject(new AuroraRpcError('INTERNAL', `${this.address}: ${name} answered nothing`));
        else resolve(response);
      },
    );
    return { call, answer: promise };
  }

  close(): void {
    this.#client.close();
  }
}

/** Reads a server stream to its end, giving each message as it comes; failures are AuroraRpcError. */
async function* readAll<Response>(stream: ClientReadableStream<Response>, peer: string): AsyncGenerator<Response> {
  try {
    for await (const message of stream) yield message as Response;
  } catch (error) {
    throw fromServiceError(error, peer);
  } finally {
    stream.cancel();
  }
}

/** Where the two ports of a storage daemon are, as host:port. */
export type SegmentAddress = Pick<Endpoint, 'address' | 'framesAddress'>;

/**
 * The compute's view of one storage daemon: Append, Follow, GetPages and RenewLease over frames, the rest over gRPC. Every failure is an
 * AuroraRpcError.
 */
export class SegmentClient implements SegmentApi {
  readonly #rpc: ServiceClient;
  readonly #frames: FramesClient;
  constructor({ address, framesAddress }: SegmentAddress, clock: Clock, credentials: Credentials = PLAIN_TEXT) {
    this.#rpc = new ServiceClient(address, SEGMENT_SERVICE, clock, credentials);
    this.#frames = new FramesClient(framesAddress, clock, credentials);
  }
  get address(): string {
    return this.#rpc.address;
  }
  append(): AppendStream {
    return this.#frames.append();
  }
  follow(): FollowStream {
    return this.#frames.follow();
  }
  openEpoch(request: OpenEpochRequest, options: CallOptions): Promise<SegmentState> {
    return this.#rpc.unary('OpenEpoch', request, options);
  }
  installHistory(request: InstallHistoryRequest, options: CallOptions): Promise<SegmentState> {
    return this.#rpc.unary('InstallHistory', request, options);
  }
  catchUp(request: CatchUpRequest, options: CallOptions): Promise<SegmentState> {
    return this.#rpc.unary('CatchUp', request, options);
  }
  getPages(request: GetPagesRequest, options: CallOptions): Promise<GetPagesResponse> {
    return this.#frames.getPages(request, options);
  }
  computeImage(request: ComputeImageRequest, options: CallOptions): AsyncGenerator<ComputeImageChunk> {
    return readAll(this.#rpc.serverStream<ComputeImageRequest, ComputeImageChunk>('ComputeImage', request, options), this.address);
  }
  importBase(options: CallOptions): { call: ImportCall; answer: Promise<SegmentState> } {
    return this.#rpc.clientStream<ImportBaseRequest, SegmentState>('ImportBase', options);
  }
  status(segment: SegmentId, options: CallOptions): Promise<SegmentState> {
    return this.#rpc.unary('Status', segment, options);
  }
  renewLease(request: RenewLeaseRequest, options: CallOptions): Promise<LeaseAnswer> {
    return this.#frames.renewLease(request, options);
  }
  giveBackLease(request: GiveBackLeaseRequest, options: CallOptions): Promise<LeaseAnswer> {
    return this.#rpc.unary('GiveBackLease', request, options);
  }
  close(): void {
    this.#frames.close();
    this.#rpc.close();
  }
}

/** One storage daemon's view of another. Every failure is an AuroraRpcError. */
export class PeerClient implements PeerApi {
  readonly #rpc: ServiceClient;
  constructor(address: string, clock: Clock, credentials: Credentials = PLAIN_TEXT) {
    this.#rpc = new ServiceClient(address, PEER_SERVICE, clock, credentials);
  }
  get address(): string {
    return this.#rpc.address;
  }
  gossip(request: GossipRequest, options: CallOptions): Promise<SegmentState> {
    return this.#rpc.unary('Gossip', request, options);
  }
  fetchRedo(request: FetchRedoRequest, options: CallOptions): AsyncGenerator<RedoChunk> {
    return readAll(this.#rpc.serverStream<FetchRedoRequest, RedoChunk>('FetchRedo', request, options), this.address);
  }
  copySegment(request: CopySegmentRequest, options: CallOptions): AsyncGenerator<CopySegmentChunk> {
    return readAll(this.#rpc.serverStream<CopySegmentRequest, CopySegmentChunk>('CopySegment', request, options), this.address);
  }
  getPeerPage(request: GetPeerPageRequest, options: CallOptions): Promise<PageImage> {
    return this.#rpc.unary('GetPeerPage', request, options);
  }
  close(): void {
    this.#rpc.close();
  }
}
