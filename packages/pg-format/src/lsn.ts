/**
 * Log sequence numbers: PostgreSQL's 64-bit byte positions in the WAL stream (access/xlogdefs.h, XLogRecPtr).
 * The volume uses them as they are; nothing else in the project counts positions.
 */
declare const lsnBrand: unique symbol;

/** A WAL position in bytes. 0 is PostgreSQL's InvalidXLogRecPtr. */
export type Lsn = bigint & { readonly [lsnBrand]: 'Lsn' };

export const INVALID_LSN = 0n as Lsn;

/** Brands a number as an Lsn. Throws RangeError when it does not fit 64 unsigned bits. */
export function lsn(value: bigint | number): Lsn {
  const position = BigInt(value);
  if (position < 0n || position > 0xffff_ffff_ffff_ffffn) {
    throw new RangeError(`LSN ${position} does not fit 64 unsigned bits`);
  }
  return position as Lsn;
}

/** PostgreSQL's own notation: high and low halves in hex, `16/B374D848`. */
export function formatLsn(position: bigint): string {
  return `${(position >> 32n).toString(16).toUpperCase()}/${(position & 0xffff_ffffn).toString(16).toUpperCase()}`;
}

/** Reads PostgreSQL's notation. Throws TypeError that quotes the text when it is not an LSN. */
export function parseLsn(text: string): Lsn {
  const match = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text);
  if (match === null) throw new TypeError(`'${text}' is not an LSN; expected two hex numbers like 16/B374D848`);
  return ((BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`)) as Lsn;
}

/** For sorting, lowest first. */
export function compareLsn(a: bigint, b: bigint): number {
  return a < b ? -1 : Number(a > b);
}

export function maxLsn<T extends bigint>(a: T, b: T): T {
  return a > b ? a : b;
}

export function minLsn<T extends bigint>(a: T, b: T): T {
  return a < b ? a : b;
}
