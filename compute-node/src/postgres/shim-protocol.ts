/**
 * Bytes between the shim inside PostgreSQL (compute-node/native/shim-protocol.h) and the agent, over a Unix socket.
 * Little-endian. One request is outstanding per connection; each backend has its own connection. "Expect pages" says
 * which pages PostgreSQL is going to read; it has no answer.
 *
 * Request, 56 bytes, nothing follows:
 *
 * A fourth operation, 4 "wrote", has the layout of a flush without dirtyLsn and is never answered: WAL was written up
 * to `lsn`.
 *
 * | offset | type | field     | flush                                      | read pages, expect pages                   |
 * | ------ | ---- | --------- | ------------------------------------------ | ------------------------------------------ |
 * | 0      | u32  | magic     | 'ASRQ' (0x51525341)                        | same                                       |
 * | 4      | u8   | operation | 1                                          | 2, 3                                       |
 * | 5      | u8   | fork      | 0                                          | 0 main, 2 visibility map, 3 init           |
 * | 6      | u16  | count     | 0                                          | blocks wanted, 1..128                      |
 * | 8      | u64  | token     | the server's; a stale PostgreSQL has another | same                                     |
 * | 16     | u32  | id        | echoed in the response                     | same                                       |
 * | 20     | u32  | spcOid    | 0                                          | tablespace (1663 default, 1664 global)     |
 * | 24     | u32  | dbOid     | 0                                          | database, 0 for global                     |
 * | 28     | u32  | relNumber | 0                                          | relfilenumber                              |
 * | 32     | u32  | block     | 0                                          | first block, counted over the whole fork   |
 * | 36     | u32  | room      | 0                                          | of a read: blocks that may come along      |
 * | 40     | u64  | lsn       | end of the highest WAL byte written        | pages must be at least as new as this      |
 * | 48     | u64  | dirtyLsn, | lowest WAL byte (re)written since a flush  | no relation file has lost blocks since     |
 * |        |      | holesSince |                                           |                                            |
 *
 * Response, 32 bytes and then the payload:
 *
 * | offset | type | field        |                                                                     |
 * | ------ | ---- | ------------ | ------------------------------------------------------------------- |
 * | 0      | u32  | magic        | 'ASRS' (0x53525341)                                                 |
 * | 4      | u32  | id           | the request's                                                       |
 * | 8      | u32  | status       | 0 ok; anything else is an error in PostgreSQL, see STATUS           |
 * | 12     | u32  | payloadBytes | (count + alongCount) * 8192 for pages, otherwise 0                  |
 * | 16     | u64  | flushedLsn   | flush: everything below is durable in the volume, or sent (status)  |
 * | 16     | u32  | alongBlock   | read: the first block of those that come along, after the others    |
 * | 20     | u32  | alongCount   | and how many; 0 for none, at most `room`                            |
 * | 24     | u64  | runningLsn   | no transaction that runs has written redo that ends at or below it  |
 */
export const REQUEST_BYTES = 56;
export const RESPONSE_BYTES = 32;
export const PAGE_BYTES = 8192;
/** Most blocks in one read request; PostgreSQL combines at most 128 (io_combine_limit's maximum). */
export const MAX_BLOCKS_PER_REQUEST = 128;

const REQUEST_MAGIC = 0x51525341;
const RESPONSE_MAGIC = 0x53525341;
const OPERATION = { flush: 1, readPages: 2, expectPages: 3, wrote: 4 } as const;
/**
 * How a request ended. `durable` answers a read as well: the pages follow.
 *
 * | status    | flush                                                    | read pages                       |
 * | --------- | -------------------------------------------------------- | -------------------------------- |
 * | 0 durable | the volume has it                                        | the pages follow                 |
 * | 1 fenced  | another writer owns the volume: no flush succeeds again  | -                                |
 * | 2 failed  | a fault of the agent; the volume may have it or not      | the pages cannot be had          |
 * | 3 damaged | the local WAL is not what was written                    | -                                |
 * | 4 stopped | the agent is stopping                                    | -                                |
 * | 5 sent    | all of it is on its way; who commits waits by itself     | -                                |
 */
export const STATUS = { durable: 0, fenced: 1, failed: 2, damaged: 3, stopped: 4, sent: 5 } as const;

export interface FlushRequest {
  /**
   * End of the highest WAL byte PostgreSQL has written. Whole WAL pages are written: the last record ends at or below
   * it.
   */
  readonly writtenLsn: bigint;
  /** Lowest WAL byte written or rewritten in place since the last flush; read again from here. */
  readonly dirtyLsn: bigint;
}

export interface WroteNotice {
  /** As in a flush: so much is in the WAL files. Nobody waits, and it may be flushed or not. */
  readonly writtenLsn: bigint;
}

export interface ReadPagesRequest {
  readonly spcOid: number;
  readonly dbOid: number;
  readonly relNumber: number;
  /** 0 main, 2 visibility map, 3 init; the free-space map is never asked for. */
  readonly fork: number;
  readonly block: number;
  readonly count: number;
  /** Pages must hold every change below this. Never past what the volume has made durable. */
  readonly lsn: bigint;
  /**
   * No relation file has been truncated or removed since, so that pages read at it or later are as good as those read
   * now: the blocks are holes in PostgreSQL's files, and what it changed it has written.
   */
  readonly holesSince: bigint;
  /**
   * So many blocks further on in the fork may come along, which PostgreSQL has not asked for: the shim puts them into
   * its file where they are holes. 0 where they are expected only.
   */
  readonly room: number;
}

export type ShimRequest =
  | ({ readonly operation: 'flush'; readonly id: number; readonly token: bigint } & FlushRequest)
  | ({ readonly operation: 'wrote'; readonly id: number; readonly token: bigint } & WroteNotice)
  | ({ readonly operation: 'readPages' | 'expectPages'; readonly id: number; readonly token: bigint } & ReadPagesRequest);

/** The bytes are not the protocol's: another program, or a shim of another build, is on the socket. */
export class ShimProtocolError extends Error {
  readonly field: string;
  constructor(field: string, found: string) {
    super(`shim request: ${field} is ${found}; rebuild libaurora_shim.so if it is older than the agent`);
    this.name = 'ShimProtocolError';
    this.field = field;
  }
}

/** Decodes one request that starts at `offset`. Throws {@link ShimProtocolError}. */
export function decodeRequest(bytes: Buffer, offset = 0): ShimRequest {
  const magic = bytes.readUInt32LE(offset);
  if (magic !== REQUEST_MAGIC) throw new ShimProtocolError('magic', `0x${magic.toString(16)}`);
  const operation = bytes.readUInt8(offset + 4);
  const token = bytes.readBigUInt64LE(offset + 8);
  const id = bytes.readUInt32LE(offset + 16);
  const lsn = bytes.readBigUInt64LE(offset + 40);
  if (operation === OPERATION.flush) {
    return { operation: 'flush', id, token, writtenLsn: lsn, dirtyLsn: bytes.readBigUInt64LE(offset + 48) };
  }
  if (operation === OPERATION.wrote) return { operation: 'wrote', id, token, writtenLsn: lsn };
  if (operation !== OPERATION.readPages && operation !== OPERATION.expectPages) throw new ShimProtocolError('operation', String(operation));
  const fork = bytes.readUInt8(offset + 5);
  if (fork > 3 || fork === 1) throw new ShimProtocolError('fork', String(fork));
  const count = bytes.readUInt16LE(offset + 6);
  if (count < 1 || count > MAX_BLOCKS_PER_REQUEST) throw new ShimProtocolError('count', String(count));
  return {
    operation: operation === OPERATION.readPages ? 'readPages' : 'expectPages',
    id,
    token,
    spcOid: bytes.readUInt32LE(offset + 20),
    dbOid: bytes.readUInt32LE(offset + 24),
    relNumber: bytes.readUInt32LE(offset + 28),
    fork,
    block: bytes.readUInt32LE(offset + 32),
    count,
    lsn,
    holesSince: bytes.readBigUInt64LE(offset + 48),
    room: decodeRoom(bytes, offset),
  };
}

function decodeRoom(bytes: Buffer, offset: number): number {
  const room = bytes.readUInt32LE(offset + 36);
  if (room > MAX_BLOCKS_PER_REQUEST) throw new ShimProtocolError('room', String(room));
  return room;
}

/** The inverse of {@link decodeRequest}; what the shim does in C. */
export function encodeRequest(request: ShimRequest): Buffer {
  const bytes = Buffer.alloc(REQUEST_BYTES);
  bytes.writeUInt32LE(REQUEST_MAGIC, 0);
  bytes.writeUInt8(OPERATION[request.operation], 4);
  bytes.writeBigUInt64LE(request.token, 8);
  bytes.writeUInt32LE(request.id, 16);
  if (request.operation === 'flush' || request.operation === 'wrote') {
    bytes.writeBigUInt64LE(request.writtenLsn, 40);
    if (request.operation === 'flush') bytes.writeBigUInt64LE(request.dirtyLsn, 48);
    return bytes;
  }
  bytes.writeUInt8(request.fork, 5);
  bytes.writeUInt16LE(request.count, 6);
  bytes.writeUInt32LE(request.spcOid, 20);
  bytes.writeUInt32LE(request.dbOid, 24);
  bytes.writeUInt32LE(request.relNumber, 28);
  bytes.writeUInt32LE(request.block, 32);
  bytes.writeUInt32LE(request.room, 36);
  bytes.writeBigUInt64LE(request.lsn, 40);
  bytes.writeBigUInt64LE(request.holesSince, 48);
  return bytes;
}

export interface ResponseHeader {
  readonly id: number;
  readonly status: number;
  readonly payloadBytes: number;
  /** Of a flush; 0 for a read. */
  readonly flushedLsn: bigint;
  /** Of a read, with which blocks came along. */
  readonly along?: { readonly block: number; readonly count: number };
  /** 0 when it is not known. */
  readonly runningLsn: bigint;
}

export function encodeResponse(response: ResponseHeader): Buffer {
  const bytes = Buffer.alloc(RESPONSE_BYTES);
  bytes.writeUInt32LE(RESPONSE_MAGIC, 0);
  bytes.writeUInt32LE(response.id, 4);
  bytes.writeUInt32LE(response.status, 8);
  bytes.writeUInt32LE(response.payloadBytes, 12);
  if (response.along === undefined) bytes.writeBigUInt64LE(response.flushedLsn, 16);
  else {
    bytes.writeUInt32LE(response.along.block, 16);
    bytes.writeUInt32LE(response.along.count, 20);
  }
  bytes.writeBigUInt64LE(response.runningLsn, 24);
  return bytes;
}

/** Cuts a connection's byte stream into requests. Keeps less than one request between calls. */
export class RequestParser {
  #rest: Buffer = Buffer.alloc(0);

  /**
   * The requests that are complete with `chunk`. Throws {@link ShimProtocolError}; the parser is of no use after that.
   */
  push(chunk: Buffer): ShimRequest[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const requests: ShimRequest[] = [];
    let offset = 0;
    for (; bytes.length - offset >= REQUEST_BYTES; offset += REQUEST_BYTES) requests.push(decodeRequest(bytes, offset));
    this.#rest = offset === bytes.length ? Buffer.alloc(0) : Buffer.from(bytes.subarray(offset));
    return requests;
  }
}
