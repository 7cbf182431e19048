import type { SegmentPhase } from '@kube-aurora/rpc';

/**
 * What becomes of what a segment holds. Whatever happens to it is told to `ContentState`, and this table alone says
 * what follows; the compiler demands every cell.
 *
 * | state      | what the segment has                                                                        |
 * | ---------- | ------------------------------------------------------------------------------------------- |
 * | empty      | nothing, or pages that were just replaced and are not open yet                              |
 * | open       | its pages and its log                                                                       |
 * | unwritable | the same, on a disk that fails or is full: what is stored is served, and no redo is taken   |
 * | closed     | files that the disk does not let it open, or that are being opened anew after a write failed |
 * | damaged    | stored bytes that fail their check: a copy from a peer mends it                             |
 * | stopped    | redo that no copy of the same bytes can apply, or a history that contradicts what is durable: for a person |
 * | ended      | nothing any more: the daemon stops                                                          |
 */
export type ContentPhase = 'empty' | 'open' | 'unwritable' | 'closed' | 'damaged' | 'stopped' | 'ended';

/** What happens, with a reason. */
export type FailureEvent =
  /** The operating system refused a read or write. */
  | 'diskFailed'
  /** Stored bytes fail their check, and cannot be repaired where they are. */
  | 'foundDamaged'
  /** Redo cannot be applied, or is durable and annulled. */
  | 'cannotGoOn';

export type ContentEvent =
  | FailureEvent
  /** The files were opened. */
  | 'opened'
  /** The disk can be written: the files are closed, to be opened anew. */
  | 'reopening'
  /** An import or a copy has taken the place of the pages. */
  | 'replaced'
  /** The daemon stops. */
  | 'ending';

export type ContentOutcome =
  /** Expected here, and changes nothing: not the reason either. */
  | 'nothing'
  /** Cannot come here: an error of ours, thrown. */
  | 'throw'
  | { readonly to: ContentPhase };

const NOTHING = 'nothing';
const NEVER = 'throw';
const EMPTY = { to: 'empty' } as const;
const OPEN = { to: 'open' } as const;
const UNWRITABLE = { to: 'unwritable' } as const;
const CLOSED = { to: 'closed' } as const;
const DAMAGED = { to: 'damaged' } as const;
const STOPPED = { to: 'stopped' } as const;
const ENDED = { to: 'ended' } as const;

export const CONTENT_TABLE: Readonly<Record<ContentPhase, Readonly<Record<ContentEvent, ContentOutcome>>>> = {
  empty: {
    opened: OPEN,
    diskFailed: CLOSED,
    foundDamaged: DAMAGED,
    cannotGoOn: STOPPED,
    reopening: NEVER,
    replaced: EMPTY,
    ending: ENDED,
  },
  open: {
    opened: NEVER,
    diskFailed: UNWRITABLE,
    foundDamaged: DAMAGED,
    cannotGoOn: STOPPED,
    reopening: NEVER,
    replaced: EMPTY,
    ending: ENDED,
  },
  unwritable: {
    opened: NEVER,
    diskFailed: UNWRITABLE,
    foundDamaged: DAMAGED,
    cannotGoOn: STOPPED,
    reopening: CLOSED,
    replaced: EMPTY,
    ending: ENDED,
  },
  closed: {
    opened: OPEN,
    diskFailed: CLOSED,
    foundDamaged: DAMAGED,
    cannotGoOn: STOPPED,
    reopening: CLOSED,
    replaced: EMPTY,
    ending: ENDED,
  },
  // A disk that fails takes nothing away from the need of a copy. Damage may be found while the files are being opened.
  damaged: {
    opened: NOTHING,
    diskFailed: NOTHING,
    foundDamaged: DAMAGED,
    cannotGoOn: STOPPED,
    reopening: NEVER,
    replaced: EMPTY,
    ending: ENDED,
  },
  // A copy made because of damage would hide what a person must see.
  stopped: {
    opened: NOTHING,
    diskFailed: NOTHING,
    foundDamaged: NOTHING,
    cannotGoOn: STOPPED,
    reopening: NEVER,
    replaced: EMPTY,
    ending: ENDED,
  },
  ended: {
    opened: NOTHING,
    diskFailed: NOTHING,
    foundDamaged: NOTHING,
    cannotGoOn: NOTHING,
    reopening: NOTHING,
    replaced: NOTHING,
    ending: NOTHING,
  },
};

export interface ContentMeaning {
  /** What the protocol calls it, while no import or copy is under way. */
  readonly phase: SegmentPhase;
  readonly servesReads: boolean;
  /** Does the disk keep it from taking redo? */
  readonly isHeldByDisk: boolean;
  /** Only pages from elsewhere help. */
  readonly needsCopy: boolean;
}

export const CONTENT_MEANING: Readonly<Record<ContentPhase, ContentMeaning>> = {
  empty: { phase: 'EMPTY', servesReads: true, isHeldByDisk: false, needsCopy: true },
  open: { phase: 'READY', servesReads: true, isHeldByDisk: false, needsCopy: false },
  unwritable: { phase: 'READY', servesReads: true, isHeldByDisk: true, needsCopy: false },
  closed: { phase: 'DAMAGED', servesReads: false, isHeldByDisk: true, needsCopy: false },
  damaged: { phase: 'DAMAGED', servesReads: false, isHeldByDisk: false, needsCopy: true },
  stopped: { phase: 'DAMAGED', servesReads: false, isHeldByDisk: false, needsCopy: false },
  ended: { phase: 'EMPTY', servesReads: true, isHeldByDisk: false, needsCopy: false },
};
