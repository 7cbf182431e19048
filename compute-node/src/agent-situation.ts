import { EXIT } from '@kube-aurora/process';
import type { MismatchReason } from './open/open-volume.ts';
import type { StartFailure } from './session/database.ts';

/** Why PostgreSQL is not up, after it was lost or did not start. */
export type FailureReason =
  | StartFailure
  /** The local WAL is not what PostgreSQL said it wrote; the volume is not touched by it. */
  | 'damagedWal';

/**
 * What the agent does, and the reason that programs decide by. Beside it stands a message, which is for people alone.
 *
 * | phase         | reason            |                                                                                 |
 * | ------------- | ----------------- | ------------------------------------------------------------------------------- |
 * | bootstrapping | none              | makes a volume's first database                                                 |
 * | bootstrapping | initdbRefused     | cannot make it as it is wanted; tries again                                     |
 * | opening       | none              | has just begun                                                                  |
 * | opening       | awaitingTurn      | asks storage whether there is a writer to follow, or its place is to be taken   |
 * | opening       | waitingForStorage | asks storage for the volume                                                     |
 * | opening       | a MismatchReason  | asks on, and cannot have it before somebody has changed something               |
 * | opening       | startingPostgres  | the volume is open, PostgreSQL is on its way                                    |
 * | opening       | a FailureReason   | the last try failed, the next one is waited for                                 |
 * | running       | none              | PostgreSQL takes connections                                                    |
 * | running       | noQuorum          | as before, but what waits for storage has waited for seconds                    |
 * | running       | takingOver        | as before, a reader; opens the volume in the writer's place meanwhile           |
 * | fenced        | fenced            | another writer owns the volume; stays like this until whoever runs us acts      |
 * | stopping      | stopping          | ends in order                                                                   |
 * | stopping      | noQuorum          | ends without a shutdown checkpoint, which storage did not take in time          |
 * | stopping      | fenced            | ends, having been fenced                                                        |
 */
export type AgentSituation =
  | { readonly phase: 'bootstrapping'; readonly reason: 'none' | 'initdbRefused' }
  | {
      readonly phase: 'opening';
      readonly reason: 'none' | 'awaitingTurn' | 'waitingForStorage' | 'startingPostgres' | MismatchReason | FailureReason;
    }
  | { readonly phase: 'running'; readonly reason: 'none' | 'takingOver' | 'noQuorum' }
  | { readonly phase: 'fenced'; readonly reason: 'fenced' }
  | { readonly phase: 'stopping'; readonly reason: 'stopping' | 'noQuorum' | 'fenced' };

export type AgentPhase = AgentSituation['phase'];

/** What the process's exit says of how it ended. */
export function exitCodeOf(situation: AgentSituation): number {
  if (situation.reason === 'fenced') return EXIT.fenced;
  return situation.phase === 'stopping' && situation.reason === 'noQuorum' ? EXIT.noQuorum : EXIT.ok;
}
