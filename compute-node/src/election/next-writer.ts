import { askWriter, type AskWriterOptions } from './ask-writer.ts';
import { rankSessions } from './rank-candidates.ts';

/**
 * The session (its computeId) of the reader that would take the writer's place if it were lost now; undefined while there is none. By the very
 * order that an election goes by, so it follows tiers, readers that come and go, and none needs to be told.
 */
export async function nextWriter(options: AskWriterOptions, signal: AbortSignal): Promise<string | undefined> {
  const { states } = await askWriter(options, signal);
  return rankSessions(states.map((state) => state?.followers ?? []))[0]?.computeId;
}
