import net from 'node:net';
import { once } from 'node:events';
import { freePort } from '@kube-aurora/test-ports';
import { afterEach, describe, expect, it } from 'vitest';
import { PortProxy } from './proxy.ts';

/** Echoes, so that a connection can be seen to carry both ways. */
async function echoServer(): Promise<{ port: number; server: net.Server }> {
  const server = net.createServer((socket) => socket.on('error', () => undefined).pipe(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: (server.address() as net.AddressInfo).port, server };
}

async function echoed(socket: net.Socket, text: string): Promise<string> {
  socket.write(text);
  const [chunk] = (await once(socket, 'data')) as [Buffer];
  return chunk.toString();
}

async function connected(port: number): Promise<net.Socket> {
  const socket = net.connect(port, '127.0.0.1');
  await once(socket, 'connect');
  return socket;
}

describe("a Service's proxy", () => {
  const ended: (() => void)[] = [];
  afterEach(() => {
    for (const end of ended.splice(0)) end();
  });

  it('keeps connections whose backend is not ready any more, and refuses new ones while there is no backend', async () => {
    const backend = await echoServer();
    const port = await freePort();
    const proxy = new PortProxy('127.0.0.1', port, (error) => {
      throw error;
    });
    ended.push(
      () => proxy.close(),
      () => backend.server.close(),
    );
    await expect(connected(port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    proxy.update([{ ip: '127.0.0.1', port: backend.port }]);
    const socket = await connected(port);
    ended.push(() => socket.destroy());
    expect(await echoed(socket, 'before')).toBe('before');
    proxy.update([]);
    expect(await echoed(socket, 'while it is unready')).toBe('while it is unready');
    await expect(connected(port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    proxy.update([{ ip: '127.0.0.1', port: backend.port }]);
    expect(await echoed(socket, 'after')).toBe('after');
    expect(await echoed(await connected(port), 'new')).toBe('new');
  });
});
