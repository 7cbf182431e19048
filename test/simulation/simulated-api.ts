import {
  AuroraRpcError,
  fromServiceError,
  PEER_SERVICE,
  SEGMENT_SERVICE,
  toServiceError,
  type AppendRequest,
  type AppendResponse,
  type AppendStream,
  type CallContext,
  type CallOptions,
  type FollowedRedo,
  type FollowRequest,
  type FollowStream,
  type ImportBaseRequest,
  type ImportCall,
  type PeerApi,
  type PeerHandlers,
  type SegmentApi,
  type SegmentHandlers,
  type SegmentState,
} from '@kube-aurora/rpc';
import type { DaemonNetwork, DaemonServices } from '../../storage-daemon/src/edge/daemon-network.ts';
import type { SeededRandom } from '../faults/random.ts';
import { carried } from './carried-messages.ts';
import type { Machine } from './machine.ts';
import { Channel, type Network } from './network.ts';
import { SimulatedLane } from './simulated-lane.ts';
import { ClientEnd, Inbox, ServerEnd } from './simulated-streams.ts';

/**
 * SegmentApi and PeerApi over the simulated network: the daemons' own handlers, and every message through the codec
 * that ships.
 */

/** Messages of a server's stream that may be under way. */
const STREAM_WINDOW = 4;

/** Where daemons listen: by address, the machine and what it serves. */
export class Exchange {
  readonly network: Network;
  readonly #listening = new Map<string, { readonly machine: Machine; readonly services: DaemonServices }>();

  constructor(network: Network) {
    this.network = network;
  }

  networkOf(machine: Machine): DaemonNetwork {
    return {
      connect: (address) => peerApi(this, machine, address),
      serve: (services, { address }) => {
        this.#listening.set(address, { machine, services });
        const close = (): void => void this.#listening.delete(address);
        machine.watch(close);
        return Promise.resolve({
          port: 0,
          framesPort: 0,
          traffic: () => ({ connections: 0, receivedBytes: 0, sentBytes: 0 }),
          leaving: () => undefined,
          close,
        });
      },
    };
  }

  /** Whoever listens at the address; undefined: the connection is refused. */
  find(address: string): { readonly machine: Machine; readonly services: DaemonServices } | undefined {
    return this.#listening.get(address);
  }
}

const refused = (address: string): AuroraRpcError => new AuroraRpcError('UNREACHABLE', `${address}: connection refused`);

const GONE = new AuroraRpcError('UNREACHABLE', 'the caller is gone');

/** Both directions of one call, and what ends it at either end. */
class Connection {
  readonly toServer: Channel;
  readonly toClient: Channel;
  readonly context: CallContext;
  readonly #abort = new AbortController();
  readonly #unwatch: (() => void)[] = [];
  #over = false;

  /** `fail` is called once at the client's end, unless `end` was before. */
  constructor(
    { network }: Exchange,
    client: Machine,
    server: Machine,
    deadlineMs: number,
    fail: (error: AuroraRpcError) => void,
    latency: () => number,
  ) {
    const failed = (error: AuroraRpcError): void => {
      if (this.#over) return;
      this.end();
      fail(error);
    };
    const brokenAtServer = (error: AuroraRpcError): void => void network.world.after(latency(), () => failed(error), client);
    this.toServer = new Channel(network, client, server, brokenAtServer, latency);
    this.toClient = new Channel(network, server, client, failed, latency);
    this.context = { deadline: server.clock.now() + deadlineMs, signal: this.#abort.signal };
    const serverDied = (): void =>
      void network.world.after(latency(), () => failed(new AuroraRpcError('UNREACHABLE', `${server.id} died`)), client);
    this.#unwatch.push(
      server.watch(serverDied),
      client.watch(() => this.end()),
    );
  }

  /** The client needs no more: the server hears of it. */
  end(): void {
    if (this.#over) return;
    this.#over = true;
    for (const unwatch of this.#unwatch) unwatch();
    this.toClient.close();
    this.toServer.send(() => {
      this.#abort.abort(GONE);
      this.toServer.close();
    });
  }

  get isOver(): boolean {
    return this.#over;
  }
}

class Caller {
  readonly #exchange: Exchange;
  readonly #machine: Machine;
  readonly address: string;
  readonly #service: typeof SEGMENT_SERVICE;

  constructor(exchange: Exchange, machine: Machine, address: string, service: typeof SEGMENT_SERVICE) {
    this.#exchange = exchange;
    this.#machine = machine;
    this.address = address;
    this.#service = service;
  }

  /** Calls `open` with the server, after a moment; `fail` when there is none, or the client's patience ends. */
  connect(
    options: CallOptions,
    fail: (error: AuroraRpcError) => void,
    open: (connection: Connection, services: DaemonServices, server: Machine) => void,
    random = this.#exchange.network.world.random,
  ): { cancel(error: AuroraRpcError): void; finish(): void } {
    const { network } = this.#exchange;
    const latency = (): number => network.latency(random);
    let connection: Connection | undefined;
    let over = false;
    const finish = (): void => {
      over = true;
      timer();
      connection?.end();
      options.signal?.removeEventListener('abort', onAbort);
    };
    const cancel = (error: AuroraRpcError): void => {
      if (over) return;
      finish();
      fail(error);
    };
    const onAbort = (): void => cancel(new AuroraRpcError('UNREACHABLE', `${this.address}: the call was given up`));
    const timer = Number.isFinite(options.deadlineMs)
      ? network.world.after(
          options.deadlineMs / this.#machine.rate,
          () => cancel(new AuroraRpcError('DEADLINE', this.address)),
          this.#machine,
        )
      : (): void => undefined;
    options.signal?.addEventListener('abort', onAbort, { once: true });
    const found = this.#exchange.find(this.address);
    if (options.signal?.aborted === true || found === undefined) {
      const error = found === undefined ? refused(this.address) : new AuroraRpcError('UNREACHABLE', `${this.address}: given up`);
      network.world.after(latency(), () => cancel(error), this.#machine);
    } else {
      connection = new Connection(this.#exchange, this.#machine, found.machine, options.deadlineMs, cancel, latency);
      open(connection, found.services, found.machine);
    }
    return { cancel, finish };
  }

  unary<Request, Response>(
    name: string,
    request: Request,
    options: CallOptions,
    handle: (services: DaemonServices, request: Request, context: CallContext) => Promise<Response>,
    random?: SeededRandom,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      const open = (connection: Connection, services: DaemonServices): void => {
        const question = carried<Request>(this.#service, name, 'request', request);
        connection.toServer.send(() => {
          if (connection.isOver) return;
          attempt(() => handle(services, question, connection.context)).then(
            (response) => {
              const answer = carried<Response>(this.#service, name, 'response', response);
              connection.toClient.send(() => {
                call.finish();
                resolve(answer);
              });
            },
            (error: unknown) => connection.toClient.send(() => call.cancel(overTheWire(error, this.address))),
          );
        });
      };
      const call = this.connect(options, reject, open, random);
    });
  }

  async *serverStream<Request, Response>(
    name: string,
    request: Request,
    options: CallOptions,
    handle: (services: DaemonServices, request: Request, context: CallContext) => AsyncIterable<Response>,
  ): AsyncGenerator<Response> {
    const inbox = new Inbox<Response>();
    let sending = 0;
    let wake: () => void = () => undefined;
    const call = this.connect(
      options,
      (error) => inbox.fail(error),
      (connection, services) => {
        const question = carried<Request>(this.#service, name, 'request', request);
        const serve = async (): Promise<void> => {
          for await (const message of handle(services, question, connection.context)) {
            if (connection.context.signal.aborted) return;
            const copy = carried<Response>(this.#service, name, 'response', message);
            sending++;
            connection.toClient.send(() => inbox.push(copy));
            if (sending >= STREAM_WINDOW) {
              await new Promise<void>((resolve) => {
                wake = resolve;
                connection.context.signal.addEventListener('abort', () => resolve(), { once: true });
              });
            }
          }
        };
        connection.toServer.send(() => {
          if (connection.isOver) return;
          attempt(serve).then(
            () => connection.toClient.send(() => inbox.end()),
            (error: unknown) => connection.toClient.send(() => inbox.fail(overTheWire(error, this.address))),
          );
        });
      },
    );
    try {
      for (let next = await inbox.next(); next !== undefined; next = await inbox.next()) {
        yield next.message;
        sending--;
        wake();
      }
    } finally {
      call.finish();
    }
  }

  importBase(options: CallOptions): { call: ImportCall; answer: Promise<SegmentState> } {
    const { promise: answer, resolve, reject } = Promise.withResolvers<SegmentState>();
    const end = new ClientEnd();
    const inbox = new Inbox<ImportBaseRequest>();
    const fail = (error: AuroraRpcError): void => {
      inbox.fail(error);
      reject(error);
      end.emit('error', error);
      end.emit('close');
    };
    answer.catch(() => undefined);
    const call = this.connect(options, fail, (connection, services) => {
      end.channel = connection.toServer;
      end.onMessage = (message) => inbox.push(carried<ImportBaseRequest>(this.#service, 'ImportBase', 'request', message));
      end.onEnd = () => inbox.end();
      connection.context.signal.addEventListener('abort', () => inbox.fail(new AuroraRpcError('UNREACHABLE', 'cancelled')));
      connection.toServer.send(() => {
        attempt(() => services.segment.importBase(inbox.all(), connection.context)).then(
          (state) => {
            const copy = carried<SegmentState>(this.#service, 'ImportBase', 'response', state);
            connection.toClient.send(() => {
              call.finish();
              resolve(copy);
              end.emit('close');
            });
          },
          (error: unknown) => connection.toClient.send(() => call.cancel(overTheWire(error, this.address))),
        );
      });
    });
    end.cancel = () => call.cancel(new AuroraRpcError('UNREACHABLE', 'cancelled'));
    return { call: end, answer };
  }

  append(): AppendStream {
    return this.#stream<AppendRequest, AppendResponse>('Append', (services, server, machine) => {
      server.makeLane = (terms, onTaken) => {
        const { files, clock } = machine;
        files.lent++;
        return new SimulatedLane({ terms, files, clock, onTaken, acknowledge: (response) => server.write(response) });
      };
      services.segment.append(server);
    });
  }

  follow(): FollowStream {
    return this.#stream<FollowRequest, FollowedRedo>('Follow', (services, server) => services.segment.follow(server));
  }

  /** Messages both ways until an end has enough. */
  #stream<Request, Response>(
    name: 'Append' | 'Follow',
    serve: (services: DaemonServices, server: ServerEnd<Request, Response>, machine: Machine) => void,
  ): ClientEnd {
    const end = new ClientEnd();
    // Whoever does not listen need not know.
    end.on('error', () => undefined);
    const call = this.connect(
      { deadlineMs: Infinity },
      (error) => end.emit('error', error),
      (connection, services, machine) => {
        const server = new ServerEnd<Request, Response>((response) => {
          const copy = carried<Response>(this.#service, name, 'response', response);
          connection.toClient.send(() => end.emit('data', copy));
        });
        server.onEnd = () =>
          connection.toClient.send(() => {
            call.finish();
            end.emit('end');
          });
        server.onError = (error) => connection.toClient.send(() => call.cancel(overTheWire(error, this.address)));
        connection.context.signal.addEventListener('abort', () => server.emit('cancelled'));
        end.channel = connection.toServer;
        end.onMessage = (message) => server.receive(carried<Request>(this.#service, name, 'request', message));
        end.onEnd = () => server.receive('end');
        connection.toServer.send(() => serve(services, server, machine));
      },
    );
    end.cancel = () => call.finish();
    return end;
  }
}

/** What the client gets of a handler's error. */
function overTheWire(error: unknown, address: string): AuroraRpcError {
  // Handlers of streams have turned it into gRPC's form already.
  return fromServiceError(Object.assign(new Error('refused'), error instanceof Error ? toServiceError(error) : error), address);
}

async function attempt<T>(work: () => Promise<T>): Promise<T> {
  return await work();
}

export function segmentApi(exchange: Exchange, machine: Machine, address: string): SegmentApi {
  const caller = new Caller(exchange, machine, address, SEGMENT_SERVICE);
  const to = (services: DaemonServices): SegmentHandlers => services.segment;
  const { aside } = exchange.network.world;
  return {
    append: () => caller.append(),
    follow: () => caller.follow(),
    openEpoch: (request, options) => caller.unary('OpenEpoch', request, options, (s, r, c) => to(s).openEpoch(r, c)),
    installHistory: (request, options) => caller.unary('InstallHistory', request, options, (s, r, c) => to(s).installHistory(r, c)),
    catchUp: (request, options) => caller.unary('CatchUp', request, options, (s, r, c) => to(s).catchUp(r, c)),
    getPages: (request, options) => caller.unary('GetPages', request, options, (s, r, c) => to(s).getPages(r, c)),
    computeImage: (request, options) => caller.serverStream('ComputeImage', request, options, (s, r, c) => to(s).computeImage(r, c)),
    importBase: (options) => caller.importBase(options),
    status: (request, options) => caller.unary('Status', request, options, (s, r, c) => to(s).status(r, c)),
    renewLease: (request, options) => caller.unary('RenewLease', request, options, (s, r, c) => to(s).renewLease(r, c), aside),
    giveBackLease: (request, options) => caller.unary('GiveBackLease', request, options, (s, r, c) => to(s).giveBackLease(r, c), aside),
    close: () => undefined,
  };
}

function peerApi(exchange: Exchange, machine: Machine, address: string): PeerApi {
  const caller = new Caller(exchange, machine, address, PEER_SERVICE);
  const to = (services: DaemonServices): PeerHandlers => services.peer;
  return {
    gossip: (request, options) => caller.unary('Gossip', request, options, (s, r, c) => to(s).gossip(r, c)),
    fetchRedo: (request, options) => caller.serverStream('FetchRedo', request, options, (s, r, c) => to(s).fetchRedo(r, c)),
    copySegment: (request, options) => caller.serverStream('CopySegment', request, options, (s, r, c) => to(s).copySegment(r, c)),
    getPeerPage: (request, options) => caller.unary('GetPeerPage', request, options, (s, r, c) => to(s).getPeerPage(r, c)),
    close: () => undefined,
  };
}
