/** The steps of an opening, in order, in words for the status. */
export const OPENING_STEPS = {
  volume: 'asking storage for the volume',
  image: 'fetching what PostgreSQL starts from: counters, relations and their sizes, transactions',
  directory: 'making the data directory',
  firstBatch: 'waiting until the first batch of redo is on four segments',
  postgres: 'starting PostgreSQL',
  roles: 'PostgreSQL answers; setting the passwords of its roles',
  lease: 'waiting until no earlier writer can answer anybody any more',
} as const;

export type OpeningStep = keyof typeof OPENING_STEPS;

const ORDER = Object.keys(OPENING_STEPS);

/** How far an opening is. */
export interface OpeningProgress {
  readonly step: OpeningStep;
  /** Counted from 1, of `steps`. */
  readonly number: number;
  readonly steps: number;
  /** When the step began, as an ISO 8601 text. */
  readonly since: string;
}

export function openingProgress(step: OpeningStep, wallTimeMs: number): OpeningProgress {
  return { step, number: ORDER.indexOf(step) + 1, steps: ORDER.length, since: new Date(wallTimeMs).toISOString() };
}

/** For people. */
export function openingMessage({ step, number, steps }: OpeningProgress): string {
  return `${OPENING_STEPS[step]} (step ${number} of ${steps})`;
}
