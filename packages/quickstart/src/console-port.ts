import { createServer } from 'node:net';

/** What people keep in their browser. */
const USUAL_PORT = 7005;

/** The usual port where it is free, else any: two starts on one machine do not get in each other's way. */
export async function consolePort(): Promise<number> {
  return (await freePort(USUAL_PORT)) ?? (await freePort(0)) ?? USUAL_PORT;
}

/** The port, having been listened at for a moment; undefined when somebody else listens there. */
function freePort(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? address?.port : undefined));
    });
  });
}
