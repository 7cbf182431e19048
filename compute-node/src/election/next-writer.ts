import { askWriter, type AskWriterOptions } from './ask-writer.ts';
import { rankCandidates, rankSessions } from './rank-candidates.ts';

/**
 * The session (its computeId) of the reader that would take the writer's place if it were lost now; undefined while there is none. By the very
 * order that an election goes by, so it follows tiers, readers that come and go, and none needs to be told.
 */
export async function nextWriter(options: AskWriterOptions, signal: AbortSignal): Promise<string | undefined> {
  const { states } = await askWriter(options, signal);
  return rankSessions(states.map((state) => state?.followers ?? []))[0]?.computeId;
}

/**
 * Is there a reader that takes the place of `instance`, the writer, once it has left? One that ends itself has said so and is none; and none can open
 * the volume where too few segments answer.
 */
export async function isSucceeded(options: AskWriterOptions & { readonly instance: string }, signal: AbortSignal): Promise<boolean> {
  const { states, verdict } = await askWriter(options, signal);
  // An earlier session of our own, as a reader, may be named still.
  return (
    verdict.kind !== 'unknown' && rankCandidates(states.map((state) => state?.followers ?? [])).some((one) => one !== options.instance)
  );
}
