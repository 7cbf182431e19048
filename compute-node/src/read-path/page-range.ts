/** A relation's fork, as PostgreSQL names it. */
export interface ForkName {
  readonly spcOid: number;
  readonly dbOid: number;
  readonly relNumber: number;
  readonly fork: number;
}

/** Neighbouring blocks of one fork. */
export interface PageRange extends ForkName {
  readonly block: number;
  readonly count: number;
}

/** Pages of all of them. */
export const pagesIn = (ranges: readonly PageRange[]): number => ranges.reduce((sum, { count }) => sum + count, 0);

/** A fork's name as the key of a map. */
export const forkKey = ({ spcOid, dbOid, relNumber, fork }: ForkName): string => `${spcOid}/${dbOid}/${relNumber}/${fork}`;

/** A part of a range, by block numbers. */
export const partOf = ({ spcOid, dbOid, relNumber, fork }: ForkName, block: number, count: number): PageRange => ({
  spcOid,
  dbOid,
  relNumber,
  fork,
  block,
  count,
});
