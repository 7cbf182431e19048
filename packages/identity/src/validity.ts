/** From when until when something is valid, in milliseconds since 1970. */
export interface Validity {
  readonly notBefore: number;
  readonly notAfter: number;
}

/** When it is to be replaced: a third of its time is left then for whatever stands in the way. */
export function dueAt({ notBefore, notAfter }: Validity): number {
  return notBefore + ((notAfter - notBefore) * 2) / 3;
}

export function isDue(validity: Validity, now: number): boolean {
  return now >= dueAt(validity);
}
