/**
 * Index tuples (access/itup.h, IndexTupleData): 0 t_tid (6 bytes), 6 t_info u16 (size in the low 13 bits), 8 data.
 */
const INDEX_SIZE_MASK = 0x1fff;

/** IndexTupleSize: bytes of the tuple that starts at `at`, as its own header states. */
export function indexTupleSize(bytes: Buffer, at: number): number {
  return bytes.readUInt16LE(at + 6) & INDEX_SIZE_MASK;
}
