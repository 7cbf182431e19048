import type { PostgresServer } from '../session/postgres-server.ts';
import type { StandbyStream } from './standby-stream.ts';

/** A reader's PostgreSQL that runs, and all that it lives on: what a reader's session hands over. */
export interface RunningStandby {
  readonly server: Pick<PostgresServer, 'tell' | 'hastenReplay' | 'promote' | 'permit' | 'drain' | 'answers' | 'shutDown' | 'kill' | 'pid'>;
  readonly stream: Pick<StandbyStream, 'belongTo' | 'hasten' | 'ask' | 'reaches' | 'givenLsn' | 'replay' | 'pages' | 'stop' | 'close'>;
}
