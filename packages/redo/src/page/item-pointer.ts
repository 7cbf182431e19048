/**
 * Item pointers (storage/itemptr.h, ItemPointerData), 6 bytes: block number as u16 high, u16 low, then offset number
 * u16.
 */
export const ITEM_POINTER_SIZE = 6;

/** BlockIdData: u16 high half, u16 low half. */
export function readBlockId(bytes: Buffer, at: number): number {
  return (bytes.readUInt16LE(at) * 0x1_0000 + bytes.readUInt16LE(at + 2)) >>> 0;
}

export function writeBlockId(bytes: Buffer, at: number, block: number): void {
  bytes.writeUInt16LE(block >>> 16, at);
  bytes.writeUInt16LE(block & 0xffff, at + 2);
}

export function writeItemPointer(bytes: Buffer, at: number, block: number, offsetNumber: number): void {
  writeBlockId(bytes, at, block);
  bytes.writeUInt16LE(offsetNumber, at + 4);
}
