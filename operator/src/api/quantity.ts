/** Kubernetes' resource quantities (`10Gi`, `500M`): just enough to compare sizes. */
const FACTOR: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
};

/** Bytes, or undefined when the text is not a size. */
export function sizeBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([kMGTP]|[KMGTP]i)?$/.exec(text);
  const factor = FACTOR[match?.[2] ?? ''];
  if (match?.[1] === undefined || factor === undefined) return undefined;
  return Number(match[1]) * factor;
}

/** The larger of two sizes in its own notation: a PVC can grow and never shrink. */
export function largerSize(a: string, b: string): string {
  return (sizeBytes(a) ?? 0) >= (sizeBytes(b) ?? 0) ? a : b;
}
