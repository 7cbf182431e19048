/**
 * The four messages of the hot path, marshalled by hand: payloads of kilobytes pass through as views and are never
 * copied into protobuf objects. The bytes are ordinary protobuf (field numbers from the .proto files), so any other
 * client can speak to us.
 */
import type { AppendRequest, AppendResponse, AppendResult, GetPagesResponse, RedoChunk } from './messages.ts';

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

const APPEND_RESULTS: readonly AppendResult[] = ['OK', 'FENCED', 'GAP', 'REFUSED', 'UNWRITABLE'];

/** Thrown for bytes that are not the message they should be. */
export class WireError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'WireError';
  }
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}

function putVarint(out: Buffer, at: number, value: number): number {
  let rest = value;
  let position = at;
  while (rest >= 128) {
    out[position++] = (rest % 128) | 128;
    rest = Math.floor(rest / 128);
  }
  out[position++] = rest;
  return position;
}

/** Steps over the fields of one message; views, no copies. */
class FieldReader {
  field = 0;
  type = 0;
  number = 0;
  bytes: Buffer = Buffer.alloc(0);
  fixed = 0n;
  #at = 0;
  readonly #buffer: Buffer;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  next(): boolean {
    if (this.#at >= this.#buffer.length) return false;
    const tag = this.#varint();
    this.field = tag >>> 3;
    this.type = tag & 7;
    if (this.type === VARINT) this.number = this.#varint();
    else if (this.type === BYTES) this.bytes = this.#take(this.#varint());
    else if (this.type === FIXED64) this.fixed = this.#take(8).readBigUInt64LE(0);
    else if (this.type === FIXED32) this.number = this.#take(4).readUInt32LE(0);
    else throw new WireError(`field ${this.field} has wire type ${this.type}, which proto3 does not use`);
    return true;
  }

  #take(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#buffer.length) throw new WireError(`field ${this.field} runs ${end - this.#buffer.length} bytes past the message`);
    const view = this.#buffer.subarray(this.#at, end);
    this.#at = end;
    return view;
  }

  #varint(): number {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 49; scale *= 128) {
      const byte = this.#buffer[this.#at++];
      if (byte === undefined) throw new WireError('the message ends inside a number');
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    throw new WireError('a number is longer than 8 bytes');
  }
}

/** AppendRequest without `hello`: fields 2 (batches), 3 (vdl), 4 (pgmrpl). */
export function encodeAppendRequest(batches: readonly Buffer[], vdl: bigint, pgmrpl: bigint): Buffer {
  const bytes = batches.reduce((sum, batch) => sum + batch.length, 0);
  const head = bytes === 0 ? 0 : 1 + varintBytes(bytes) + bytes;
  // Memory of its own: the ring keeps it for long, and a slice of Node's shared pool would keep eight times as much alive.
  const out = Buffer.allocUnsafeSlow(head + 18);
  let at = 0;
  if (bytes > 0) {
    out[at++] = (2 << 3) | BYTES;
    at = putVarint(out, at, bytes);
    for (const batch of batches) at += batch.copy(out, at);
  }
  out[at] = (3 << 3) | FIXED64;
  out.writeBigUInt64LE(vdl, at + 1);
  out[at + 9] = (4 << 3) | FIXED64;
  out.writeBigUInt64LE(pgmrpl, at + 10);
  return out;
}

/** One of several messages that together carry one request's batches. */
export interface AppendPart {
  readonly bytes: Buffer;
  readonly vdl: bigint;
  readonly pgmrpl: bigint;
  /** More parts follow. */
  readonly more: boolean;
}

/** Cuts an encoded AppendRequest without a hello into parts of at most `bytesMax` of batches. */
export function* splitBatches(message: Buffer, bytesMax: number): Generator<AppendPart> {
  const { batches = Buffer.alloc(0), vdl, pgmrpl } = decodeAppendRequest(message, () => undefined);
  for (let at = 0; at < batches.length; at += bytesMax) {
    const bytes = batches.subarray(at, at + bytesMax);
    yield { bytes, vdl, pgmrpl, more: at + bytes.length < batches.length };
  }
}

export function encodeAppendPart({ bytes, vdl, pgmrpl, more }: AppendPart): Buffer {
  const message = encodeAppendRequest([bytes], vdl, pgmrpl);
  return more ? Buffer.concat([message, Buffer.from([(5 << 3) | VARINT, 1])]) : message;
}

/** One request with the batches of several, in their order, and the last one's VDL and PGMRPL. None may carry a hello. */
export function joinAppendRequests(messages: readonly Buffer[]): Buffer {
  const requests = messages.map((message) => decodeAppendRequest(message, () => undefined));
  const last = requests.at(-1);
  const batches = requests.flatMap((request) => (request.batches === undefined ? [] : [request.batches]));
  return encodeAppendRequest(batches, last?.vdl ?? 0n, last?.pgmrpl ?? 0n);
}

/** Decodes an AppendRequest; `decodeHello` reads the one nested message, which only the first request carries. */
export function decodeAppendRequest(message: Buffer, decodeHello: (whole: Buffer) => AppendRequest['hello']): AppendRequest {
  const request: AppendRequest = { hello: undefined, batches: undefined, vdl: 0n, pgmrpl: 0n };
  const fields = new FieldReader(message);
  while (fields.next()) {
    if (fields.field === 1) request.hello = decodeHello(message);
    else if (fields.field === 2) request.batches = fields.bytes;
    else if (fields.field === 3) request.vdl = fields.fixed;
    else if (fields.field === 4) request.pgmrpl = fields.fixed;
    else if (fields.field === 5) request.more = fields.number !== 0;
  }
  return request;
}

export function encodeAppendResponse(response: AppendResponse): Buffer {
  const text = Buffer.from(response.message, 'utf8');
  const out = Buffer.allocUnsafe(9 + 2 + 9 + (text.length === 0 ? 0 : 1 + varintBytes(text.length) + text.length));
  out[0] = (1 << 3) | FIXED64;
  out.writeBigUInt64LE(response.scl, 1);
  out[9] = (2 << 3) | VARINT;
  out[10] = APPEND_RESULTS.indexOf(response.result);
  out[11] = (3 << 3) | FIXED64;
  out.writeBigUInt64LE(response.epoch, 12);
  if (text.length > 0) {
    out[20] = (4 << 3) | BYTES;
    text.copy(out, putVarint(out, 21, text.length));
  }
  return out;
}

export function decodeAppendResponse(message: Buffer): AppendResponse {
  const response: AppendResponse = { scl: 0n, result: 'OK', epoch: 0n, message: '' };
  const fields = new FieldReader(message);
  while (fields.next()) {
    if (fields.field === 1) response.scl = fields.fixed;
    else if (fields.field === 2) {
      const result = APPEND_RESULTS[fields.number];
      if (result === undefined) throw new WireError(`AppendResponse.result ${fields.number} is unknown`);
      response.result = result;
    } else if (fields.field === 3) response.epoch = fields.fixed;
    else if (fields.field === 4) response.message = fields.bytes.toString('utf8');
  }
  return response;
}

export function encodeGetPagesResponse(response: GetPagesResponse): Buffer {
  const { present, pages } = response;
  const out = Buffer.allocUnsafe(1 + varintBytes(present.length) + present.length + 1 + varintBytes(pages.length) + pages.length + 9);
  out[0] = (1 << 3) | BYTES;
  let at = putVarint(out, 1, present.length);
  at += present.copy(out, at);
  out[at++] = (2 << 3) | BYTES;
  at = putVarint(out, at, pages.length);
  at += pages.copy(out, at);
  out[at] = (3 << 3) | FIXED64;
  out.writeBigUInt64LE(response.lsn, at + 1);
  return out;
}

export function decodeGetPagesResponse(message: Buffer): GetPagesResponse {
  const response: GetPagesResponse = { present: Buffer.alloc(0), pages: Buffer.alloc(0), lsn: 0n };
  const fields = new FieldReader(message);
  while (fields.next()) {
    if (fields.field === 1) response.present = fields.bytes;
    else if (fields.field === 2) response.pages = fields.bytes;
    else if (fields.field === 3) response.lsn = fields.fixed;
  }
  return response;
}

export function encodeRedoChunk(chunk: RedoChunk): Buffer {
  const out = Buffer.allocUnsafe(1 + varintBytes(chunk.batches.length) + chunk.batches.length);
  out[0] = (1 << 3) | BYTES;
  chunk.batches.copy(out, putVarint(out, 1, chunk.batches.length));
  return out;
}

export function decodeRedoChunk(message: Buffer): RedoChunk {
  const chunk: RedoChunk = { batches: Buffer.alloc(0) };
  const fields = new FieldReader(message);
  while (fields.next()) if (fields.field === 1) chunk.batches = fields.bytes;
  return chunk;
}
