/**
 * When to ask whether the other end is still there, and when to take it for dead: after an interval of silence a PING,
 * after half an interval without an answer the end. A stopped or cut off peer never closes its connection by itself.
 */
export interface Silence {
  readonly now: number;
  /** When something last came. */
  readonly heardAt: number;
  /** When it was asked for an answer that has not come; undefined while none is owed. */
  readonly askedAt: number | undefined;
  readonly intervalMs: number;
}

export type Beat = { readonly do: 'wait'; readonly ms: number } | { readonly do: 'ask' } | { readonly do: 'give up' };

export function nextBeat({ now, heardAt, askedAt, intervalMs }: Silence): Beat {
  const dueAt = askedAt === undefined ? heardAt + intervalMs : askedAt + intervalMs / 2;
  if (now < dueAt) return { do: 'wait', ms: dueAt - now };
  return askedAt === undefined ? { do: 'ask' } : { do: 'give up' };
}
