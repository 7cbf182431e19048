import { connect, createServer, type Server, type Socket } from 'node:net';

/**
 * A TCP relay to a port of a daemon, that loses what a network loses: one direction, both, or a connection in the
 * middle of a frame.
 */
export class Relay {
  readonly port: number;
  readonly #server: Server;
  readonly #pairs = new Set<{ near: Socket; far: Socket }>();
  /** Bytes towards the daemon after which connections are cut; undefined: none. */
  cutAfterBytes: number | undefined;
  /** Nothing more goes that way, and nobody is told. */
  holdsRequests = false;
  holdsAnswers = false;
  /** Towards the daemon, since `cutAfterBytes` was set. */
  forwardedBytes = 0;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  static async to(port: number): Promise<Relay> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const relay = new Relay(server, typeof address === 'object' && address !== null ? address.port : 0);
    server.on('connection', (near) => relay.#join(near, connect(port, '127.0.0.1')));
    return relay;
  }

  #join(near: Socket, far: Socket): void {
    const pair = { near, far };
    this.#pairs.add(pair);
    const end = (): void => {
      this.#pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) socket.on('error', end).on('close', end);
    near.on('data', (chunk: Buffer) => {
      if (this.holdsRequests) return;
      const left = (this.cutAfterBytes ?? Infinity) - this.forwardedBytes;
      const part = chunk.subarray(0, Math.min(chunk.length, left));
      this.forwardedBytes += part.length;
      far.write(part, () => {
        if (part.length < chunk.length) end();
      });
    });
    far.on('data', (chunk: Buffer) => {
      if (!this.holdsAnswers) near.write(chunk);
    });
  }

  /** Cuts every connection after so many more bytes towards the daemon. */
  cutAfter(bytes: number): void {
    this.forwardedBytes = 0;
    this.cutAfterBytes = bytes;
  }

  heal(): void {
    this.cutAfterBytes = undefined;
    this.holdsRequests = false;
    this.holdsAnswers = false;
  }

  cut(): void {
    for (const { near, far } of this.#pairs) {
      near.destroy();
      far.destroy();
    }
  }

  close(): void {
    this.#server.close();
    this.cut();
  }
}
