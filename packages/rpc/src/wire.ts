/**
 * The four messages of the hot path, marshalled by hand: payloads of kilobytes pass through as views and are never
 * copied into protobuf objects. The bytes are ordinary protobuf (field numbers from the .proto files), so any other
 * client can speak to us.
 */
import { decodeMessage } from './message-codec.ts';
import type { AppendRequest, AppendResponse, AppendResult, GetPagesResponse, RedoChunk } from './messages.ts';
import { BYTES, FieldReader, FIXED64, putVarint, tag, VARINT, varintBytes, WireError } from './wire-fields.ts';

const APPEND_RESULTS: readonly AppendResult[] = ['OK', 'FENCED', 'GAP', 'REFUSED', 'UNWRITABLE'];

/** AppendRequest without `hello`: fields 2 (batches), 3 (vdl), 4 (pgmrpl). */
export function encodeAppendRequest(batches: readonly Buffer[], vdl: bigint, pgmrpl: bigint): Buffer {
  const bytes = batches.reduce((sum, batch) => sum + batch.length, 0);
  const head = bytes === 0 ? 0 : 1 + varintBytes(bytes) + bytes;
  // Memory of its own: the ring keeps it for long, and a slice of Node's shared pool would keep eight times as much alive.
  const out = Buffer.allocUnsafeSlow(head + 18);
  let at = 0;
  if (bytes > 0) {
    out[at++] = tag(2, BYTES);
    at = putVarint(out, at, bytes);
    for (const batch of batches) at += batch.copy(out, at);
  }
  out[at] = tag(3, FIXED64);
  out.writeBigUInt64LE(vdl, at + 1);
  out[at + 9] = tag(4, FIXED64);
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
  const { batches = Buffer.alloc(0), vdl, pgmrpl } = decodeAppendRequest(message);
  for (let at = 0; at < batches.length; at += bytesMax) {
    const bytes = batches.subarray(at, at + bytesMax);
    yield { bytes, vdl, pgmrpl, more: at + bytes.length < batches.length };
  }
}

export function encodeAppendPart({ bytes, vdl, pgmrpl, more }: AppendPart): Buffer {
  const message = encodeAppendRequest([bytes], vdl, pgmrpl);
  return more ? Buffer.concat([message, Buffer.from([tag(5, VARINT), 1])]) : message;
}

/** One request with the batches of several, in their order, and the last one's VDL and PGMRPL. None may carry a hello. */
export function joinAppendRequests(messages: readonly Buffer[]): Buffer {
  const requests = messages.map((message) => decodeAppendRequest(message));
  const last = requests.at(-1);
  const batches = requests.flatMap((request) => (request.batches === undefined ? [] : [request.batches]));
  return encodeAppendRequest(batches, last?.vdl ?? 0n, last?.pgmrpl ?? 0n);
}

export function decodeAppendRequest(message: Buffer): AppendRequest {
  const request: AppendRequest = { hello: undefined, batches: undefined, vdl: 0n, pgmrpl: 0n };
  const fields = new FieldReader(message);
  while (fields.next()) {
    if (fields.field === 1) request.hello = decodeMessage('AppendHello', fields.bytes());
    else if (fields.field === 2) request.batches = fields.bytes();
    else if (fields.field === 3) request.vdl = fields.fixed64();
    else if (fields.field === 4) request.pgmrpl = fields.fixed64();
    else if (fields.field === 5) request.more = fields.number() !== 0;
  }
  return request;
}

export function encodeAppendResponse(response: AppendResponse): Buffer {
  const text = Buffer.from(response.message, 'utf8');
  const out = Buffer.allocUnsafe(9 + 2 + 9 + (text.length === 0 ? 0 : 1 + varintBytes(text.length) + text.length));
  out[0] = tag(1, FIXED64);
  out.writeBigUInt64LE(response.scl, 1);
  out[9] = tag(2, VARINT);
  out[10] = APPEND_RESULTS.indexOf(response.result);
  out[11] = tag(3, FIXED64);
  out.writeBigUInt64LE(response.epoch, 12);
  if (text.length > 0) {
    out[20] = tag(4, BYTES);
    text.copy(out, putVarint(out, 21, text.length));
  }
  return out;
}

export function decodeAppendResponse(message: Buffer): AppendResponse {
  const response: AppendResponse = { scl: 0n, result: 'OK', epoch: 0n, message: '' };
  const fields = new FieldReader(message);
  while (fields.next()) {
    if (fields.field === 1) response.scl = fields.fixed64();
    else if (fields.field === 2) {
      const result = APPEND_RESULTS[fields.number()];
      if (result === undefined) throw new WireError(`AppendResponse.result: ${fields.number()} is unknown`);
      response.result = result;
    } else if (fields.field === 3) response.epoch = fields.fixed64();
    else if (fields.field === 4) response.message = fields.bytes().toString('utf8');
  }
  return response;
}

export function encodeGetPagesResponse(response: GetPagesResponse): Buffer {
  const { present, pages } = response;
  const out = Buffer.allocUnsafe(1 + varintBytes(present.length) + present.length + 1 + varintBytes(pages.length) + pages.length);
  out[0] = tag(1, BYTES);
  let at = putVarint(out, 1, present.length);
  at += present.copy(out, at);
  out[at++] = tag(2, BYTES);
  at = putVarint(out, at, pages.length);
  pages.copy(out, at);
  return out;
}

export function decodeGetPagesResponse(message: Buffer): GetPagesResponse {
  const response: GetPagesResponse = { present: Buffer.alloc(0), pages: Buffer.alloc(0) };
  const fields = new FieldReader(message);
  while (fields.next()) {
    if (fields.field === 1) response.present = fields.bytes();
    else if (fields.field === 2) response.pages = fields.bytes();
  }
  return response;
}

export function encodeRedoChunk(chunk: RedoChunk): Buffer {
  const out = Buffer.allocUnsafe(1 + varintBytes(chunk.batches.length) + chunk.batches.length);
  out[0] = tag(1, BYTES);
  chunk.batches.copy(out, putVarint(out, 1, chunk.batches.length));
  return out;
}

export function decodeRedoChunk(message: Buffer): RedoChunk {
  const chunk: RedoChunk = { batches: Buffer.alloc(0) };
  const fields = new FieldReader(message);
  while (fields.next()) if (fields.field === 1) chunk.batches = fields.bytes();
  return chunk;
}
