/** One thing wrong with an object; `field` is its path. kubectl prints `field: message`. */
export type Cause = { reason: string; message: string; field?: string };
