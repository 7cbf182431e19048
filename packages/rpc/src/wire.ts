/**
 * The message of gRPC that carries redo in bulk, marshalled by hand: its payload passes through as a view and is never
 * copied into protobuf objects. The bytes are ordinary protobuf (field numbers from the .proto files), so any other
 * client can speak to us.
 */
import type { RedoChunk } from './messages.ts';
import { BYTES, FieldReader, putVarint, tag, varintBytes } from './wire-fields.ts';

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
