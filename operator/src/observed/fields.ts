/** Values of an answer from the network: each is checked, none is trusted. */

export type Fields = Readonly<Record<string, unknown>>;

export function objectFields(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

export function textField(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value.slice(0, 500) : undefined;
}

/** A whole number, 0 or more, or the text of one. */
export function numberField(value: unknown): number | undefined {
  const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 ? number : undefined;
}

export function listedText<T extends string>(list: readonly T[], value: unknown): T | undefined {
  return list.find((one) => one === value);
}
