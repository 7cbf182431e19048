import { createLogger } from '@kube-aurora/process';
import { builtPage } from '../build/build-page.ts';
import { OPEN, type Access } from '../server/access.ts';
import { serveConsole } from '../server/console-server.ts';
import { readPageFiles } from '../server/page-files.ts';
import { ConsoleWatch } from '../watch/console-watch.ts';
import { apiOf, SCENE_NOW, scrapeOf, type Scene } from './scenes.ts';

export interface SceneServer {
  readonly url: string;
  readonly close: () => Promise<void>;
}

/** The console itself on a scene whose last hour it has seen: its clock starts where the scene ends, and goes on. */
export async function serveScene(scene: Scene, access: Access = OPEN): Promise<SceneServer> {
  let at = SCENE_NOW - 3_650_000;
  let startedAt: number | undefined;
  const now = (): number => (startedAt === undefined ? at : SCENE_NOW + performance.now() - startedAt);
  const watch = new ConsoleWatch({ api: apiOf(scene), namespace: undefined, scrape: scrapeOf(scene, now), now });
  for (; at <= SCENE_NOW; at += 10_000) await watch.round();
  startedAt = performance.now();
  const server = await serveConsole({
    listen: '127.0.0.1:0',
    page: readPageFiles(await builtPage()),
    watch,
    access,
    logger: createLogger('console'),
    now,
  });
  watch.start();
  return {
    url: `http://127.0.0.1:${server.port}/`,
    close: async () => {
      await watch.stop();
      await server.close();
    },
  };
}
