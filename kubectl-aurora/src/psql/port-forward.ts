import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { PortForward, type KubeConfig } from '@kubernetes/client-node';

/** A port of this machine that leads to one of a pod, through the API server. */
export interface ForwardedPort {
  readonly port: number;
  close(): void;
}

export interface ForwardTarget {
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
}

/** Listens on loopback; each connection gets a stream of its own. `say` hears of what goes wrong. */
export async function forwardPort(config: KubeConfig, target: ForwardTarget, say: (text: string) => void): Promise<ForwardedPort> {
  const forward = new PortForward(config);
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    // It ends both ways below; the reason is the other end's to tell.
    socket.on('error', () => socket.destroy());
    carry(forward, target, socket).catch((error: unknown) => {
      say(`port-forward to ${target.pod}: ${reasonOf(error)}`);
      socket.destroy();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

async function carry(forward: PortForward, { namespace, pod, port }: ForwardTarget, socket: Socket): Promise<void> {
  const stream = await forward.portForward(namespace, pod, [port], socket, null, socket);
  // Without a count of retries it is the WebSocket itself.
  if (typeof stream === 'function') throw new TypeError('a port-forward without retries gave a stream with them');
  stream.onclose = () => socket.end();
  socket.on('close', () => stream.close());
}

/** A WebSocket that did not come about fails with an event, which is no Error. */
function reasonOf(error: unknown): string {
  const message = typeof error === 'object' && error !== null && 'message' in error ? error.message : undefined;
  return typeof message === 'string' && message !== '' ? message : 'the API server refused it, or was not reached';
}
