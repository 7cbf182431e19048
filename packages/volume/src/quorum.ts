/**
 * Which of a protection group's six segments are enough, for what. Decisions without I/O, and the only place that
 * counts segments.
 *
 * A full segment holds redo and pages, a tail redo alone. A volume's six are all full (copies: Full), or in each of
 * three zones one is full and one a tail (copies: Mixed). A segment's role is decided when the volume is made and never
 * changes; what it may do for a while in another's place does not count here.
 *
 * |         | Full | Mixed                                   | what for                                                   |
 * | ------- | ---- | --------------------------------------- | ---------------------------------------------------------- |
 * | write   | 4    | 4 of any role, or the 3 full ones       | redo is durable; an epoch's history is known               |
 * | read    | 3    | 3, one of them full                     | what was durable is found                                  |
 * | promise | 4    | 4, two of them full                     | an epoch has one writer, and older ones write no more      |
 *
 * What they rest on, for every pair of sets (quorum.test.ts tries all subsets of six):
 *
 * 1. Any write and any read set share a segment. 4 + 3 > 6; and the 3 full ones meet every set with a full one.
 * 2. Any write and any promise set share two segments, and so do any two promise sets. 4 + 4 = 6 + 2; and the 3 full
 *    ones meet every set with two full ones in those. Two, and not one, because a disk may have lost what it was told
 *    to keep without knowing: one segment that forgot its promise, or the newest redo, must not decide alone. So the 3
 *    full ones are enough for a write and not for a promise: { full 1, three tails } would meet them in full 1 alone.
 * 3. A write set less any zone and any one more still has a segment; less any zone it can be made up of those that are
 *    left (4: two zones).
 * 4. Every write set has a full segment, and so have every read and every promise set: pages can be made.
 */
export type SegmentRole = 'FULL' | 'TAIL';
/** As `spec.storage.copies` has it. */
export type VolumeCopies = 'Full' | 'Mixed';

/** Segments of a protection group, two in each of three zones. */
export const COPIES = 6;
/** So many of any role are a write quorum, and of those that promise so many are needed. */
export const WRITE_QUORUM = 4;
/** So many hold whatever was durable, if one of them is full. */
export const READ_QUORUM = 3;
/** Of a mixed volume's promises so many are of full segments. */
const FULL_PROMISES = 2;

/**
 * The roles of a new volume's segments, by index, given the zone of each: where copies are mixed, the first of a zone
 * is its full one.
 */
export function rolesOf(copies: VolumeCopies, zones: readonly string[]): readonly SegmentRole[] {
  return zones.map((zone, index) => (copies === 'Full' || zones.indexOf(zone) === index ? 'FULL' : 'TAIL'));
}

/** What is wrong with the roles of a volume's segments; undefined when they are those of full or of mixed copies. */
export function rolesProblem(segments: readonly { readonly zone: string; readonly role: SegmentRole }[]): string | undefined {
  if (segments.every(({ role }) => role === 'FULL')) return undefined;
  for (const zone of new Set(segments.map((one) => one.zone))) {
    const here = segments.filter((one) => one.zone === zone);
    const full = here.filter(({ role }) => role === 'FULL').length;
    if (full !== 1 || here.length !== 2)
      return `has ${full} full segments and ${here.length - full} tails in zone '${zone}'; where there are tails each zone has one of each`;
  }
  return undefined;
}

/** The rules for one volume: which sets of its segments are enough. A set is given by the roles of its members. */
export class Quorums {
  /** The volume's segments, by index. */
  readonly roles: readonly SegmentRole[];
  readonly #isMixed: boolean;
  readonly #fulls: number;

  constructor(roles: readonly SegmentRole[]) {
    this.roles = roles;
    this.#fulls = count(roles).full;
    this.#isMixed = this.#fulls < roles.length;
  }

  get copies(): number {
    return this.roles.length;
  }

  get isMixed(): boolean {
    return this.#isMixed;
  }

  isWrite(members: readonly SegmentRole[]): boolean {
    const { full, all } = count(members);
    return this.isWriteOf(full, all);
  }

  /** The same of so many segments, of which so many are full. */
  isWriteOf(full: number, all: number): boolean {
    return all >= WRITE_QUORUM || (this.#isMixed && full === this.#fulls);
  }

  isRead(members: readonly SegmentRole[]): boolean {
    const { full, all } = count(members);
    return all >= READ_QUORUM && full >= 1;
  }

  isPromise(members: readonly SegmentRole[]): boolean {
    const { full, all } = count(members);
    return all >= WRITE_QUORUM && (!this.#isMixed || full >= FULL_PROMISES);
  }

  /** The same of segments by index. */
  rolesAt(indices: Iterable<number>): SegmentRole[] {
    return [...indices].map((index) => this.roles[index] ?? 'TAIL');
  }

  /** What is needed, for people: '... are needed'. */
  get writeNeeds(): string {
    return this.#isMixed ? `${WRITE_QUORUM}, or all ${this.#fulls} full ones,` : `${WRITE_QUORUM}`;
  }
  get readNeeds(): string {
    return this.#isMixed ? `${READ_QUORUM}, one of them full,` : `${READ_QUORUM}`;
  }
  get promiseNeeds(): string {
    return this.#isMixed ? `${WRITE_QUORUM}, ${FULL_PROMISES} of them full,` : `${WRITE_QUORUM}`;
  }
}

function count(members: readonly SegmentRole[]): { readonly full: number; readonly all: number } {
  let full = 0;
  for (const role of members) if (role === 'FULL') full++;
  return { full, all: members.length };
}

/** The volume that has a full copy on each segment. */
export const ALL_FULL = new Quorums(Array.from({ length: COPIES }, () => 'FULL'));

/** The highest point that a write quorum has reached, of points by segment; 0n when none has. */
export function quorumPoint(points: readonly bigint[], quorums: Quorums): bigint {
  let best = 0n;
  for (const candidate of points) {
    if (candidate > best && quorums.isWrite(quorums.roles.filter((_role, index) => (points[index] ?? 0n) >= candidate))) best = candidate;
  }
  return best;
}

/**
 * PGCL of one protection group: the highest SCL that a write quorum has reached. Kept by the writer from
 * acknowledgements; `acknowledge` is on the path of every commit and allocates nothing.
 *
 * Invariant: only an SCL that a segment reported together with the writer's own epoch, and after it took the writer's
 * epoch history, may be given here (`countsForWriter` in choose-start.ts). Otherwise a segment that has already
 * promised a later opener, or that holds annulled redo, could complete a quorum, and an acknowledged commit would be
 * lost.
 */
export class QuorumTracker {
  readonly #scl: bigint[];
  /** By set of segments, one bit each: is it a write quorum? */
  readonly #isWrite: readonly boolean[];
  #point: bigint;

  /** Starts with `floor` known to be on a quorum: PGCL at open. */
  constructor(floor: bigint, quorums: Quorums = ALL_FULL) {
    const { copies, roles } = quorums;
    this.#scl = Array.from({ length: copies }, () => 0n);
    this.#isWrite = Array.from({ length: 2 ** copies }, (_, set) => quorums.isWrite(roles.filter((_role, index) => (set >> index) & 1)));
    this.#point = floor;
  }

  /** PGCL; never goes back. */
  get point(): bigint {
    return this.#point;
  }

  /** Highest SCL that segment has acknowledged, 0n for none. */
  scl(segment: number): bigint {
    return this.#scl[segment] ?? 0n;
  }

  /**
   * Takes one segment's SCL; true when PGCL advanced. Older values are ignored: acknowledgements may overtake each
   * other.
   */
  acknowledge(segment: number, scl: bigint): boolean {
    const known = this.#scl[segment];
    if (known === undefined) throw new RangeError(`segment ${segment} is not one of ${this.#scl.length}`);
    if (scl <= known) return false;
    this.#scl[segment] = scl;
    if (scl <= this.#point) return false;
    // The highest past the point that a quorum has, found by selection: six values, no sorting, no allocation.
    let best = this.#point;
    for (const candidate of this.#scl) {
      if (candidate <= best) continue;
      let reached = 0;
      for (let index = 0; index < this.#scl.length; index++) if ((this.#scl[index] ?? 0n) >= candidate) reached |= 1 << index;
      if (this.#isWrite[reached] === true) best = candidate;
    }
    if (best === this.#point) return false;
    this.#point = best;
    return true;
  }
}
