import type { Messages } from './messages.ts';

/**
 * How a message's fields, and a service's methods, are written down for the codec and gRPC; generated from the .proto
 * files.
 */

interface Row {
  readonly number: number;
  /** Camel case. */
  readonly name: string;
  /** Absent and zero are two things. */
  readonly optional?: true;
}

export type ScalarRow = Row & { readonly kind: 'fixed64' | 'uint32' | 'bool' | 'string' | 'bytes' };
export type EnumRow = Row & { readonly kind: 'enum'; readonly values: Readonly<Record<string, number>> };
export type MessageRow = Row & { readonly kind: 'message'; readonly message: keyof Messages; readonly repeated: boolean };

/** Ascending by number. */
export type MessageTable = readonly (ScalarRow | EnumRow | MessageRow)[];

export interface MethodRow {
  readonly path: string;
  readonly request: keyof Messages;
  readonly requestStream: boolean;
  readonly response: keyof Messages;
  readonly responseStream: boolean;
}
export type ServiceTable = Readonly<Record<string, MethodRow>>;
