/**
 * Kubernetes' resource quantities, exact: in billionths, rounded up, as the API server keeps them.
 * https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
 */
export class Quantity {
  /** The value times 10^9. */
  readonly nano: bigint;

  constructor(nano: bigint) {
    this.nano = nano;
  }

  /** Undefined when the text is no quantity. */
  static parse(text: string): Quantity | undefined {
    const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3})|([KMGTPE]i|[numkMGTPE]))?$/.exec(text);
    const [, sign = '', whole = '', fraction = '', exponent, suffix = ''] = match ?? [];
    if (match === null || `${whole}${fraction}` === '') return undefined;
    const binary = BINARY.indexOf(suffix);
    const decimals = (exponent === undefined ? (DECIMAL[suffix] ?? 0) : Number(exponent)) + 9 - fraction.length;
    const digits = BigInt(`${whole}${fraction}`) * (binary < 0 ? 1n : 1024n ** BigInt(binary + 1));
    const scaled = decimals >= 0 ? digits * 10n ** BigInt(decimals) : roundedUp(digits, 10n ** BigInt(-decimals));
    return new Quantity(sign === '-' ? -scaled : scaled);
  }

  compareTo(other: Quantity): number {
    return this.nano < other.nano ? -1 : this.nano > other.nano ? 1 : 0;
  }
}

const BINARY = ['Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
const DECIMAL: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };

function roundedUp(value: bigint, by: bigint): bigint {
  return (value + by - 1n) / by;
}
