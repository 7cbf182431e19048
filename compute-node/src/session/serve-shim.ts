import { chmod, copyFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '@kube-aurora/process';
import { ShimServer } from '../postgres/shim-server.ts';
import type { PostgresPaths } from '../postgres-paths.ts';
import type { VolumeAccess } from './database.ts';

/** The shim's side of one PostgreSQL start, ready before PostgreSQL is. */
export interface ShimAccess {
  /** The library to preload. */
  readonly library: string;
  /** Secret of this start. */
  readonly token: bigint;
  /** The volume takes nothing more. Who has asked is answered by then, and who asks later until `close`. Gives how many flushes were answered with neither 'durable' nor 'sent'. */
  refuse(): Promise<number>;
  /** Ends every connection. */
  close(): Promise<void>;
}

/** Answers the shims of one PostgreSQL start from the volume, and puts the library where PostgreSQL may load it. */
export async function serveShim(
  { shimSocket, shimLibrary, runDir, account }: Pick<PostgresPaths, 'shimSocket' | 'shimLibrary' | 'runDir' | 'account'>,
  volume: VolumeAccess,
  logger: Logger,
): Promise<ShimAccess> {
  const server = new ShimServer(
    shimSocket,
    {
      wrote: ({ writtenLsn }) => volume.wrote(writtenLsn),
      flush: ({ writtenLsn }) => volume.flush(writtenLsn),
      readPages: (request, signal) => volume.readPages(request, signal),
      pagesAlong: (request) => volume.pagesAlong(request),
      expectPages: (request) => volume.expectPages(request),
      runningLsn: () => volume.runningLsn(),
    },
    {
      owner: account,
      onError: (error, request) => logger.warn({ err: error, operation: request?.operation }, 'a request of PostgreSQL failed'),
    },
  );
  await server.listen();
  const library = join(runDir, 'libaurora_shim.so');
  try {
    // Written anew and renamed: a PostgreSQL that is still ending may have the old one mapped.
    await copyFile(shimLibrary, `${library}.new`);
    await chmod(`${library}.new`, 0o755);
    await rename(`${library}.new`, library);
  } catch (error) {
    await server.close();
    throw error;
  }
  return { library, token: server.token, refuse: () => server.refuse(), close: () => server.close() };
}
