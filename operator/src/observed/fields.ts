import { formatLsn, parseLsn } from '@kube-aurora/pg-format';

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

/** PostgreSQL's notation, from that notation or from a plain number; 0 is PostgreSQL's "none". */
export function lsnField(value: unknown): string | undefined {
  const text = anyLsn(value);
  return text === '0/0' ? undefined : text;
}

function anyLsn(value: unknown): string | undefined {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return formatLsn(BigInt(value));
  if (typeof value !== 'string') return undefined;
  if (/^\d{1,20}$/.test(value)) return formatLsn(BigInt(value));
  try {
    return formatLsn(parseLsn(value));
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** Drops what is undefined, so that optional fields are absent. */
export function present<T extends object>(value: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== undefined)) as T;
}
