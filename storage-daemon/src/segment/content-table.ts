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
 *
 * While an import or a copy is on its way beside it, each of the first six is a state of its own, `replacing …`.
 */
export type Holding = 'empty' | 'open' | 'unwritable' | 'closed' | 'damaged' | 'stopped';
export type ContentPhase = Holding | `replacing ${Holding}` | 'ended';

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
  /** An import or a copy begins. */
  | 'replacing'
  /** It has taken the place of what was there. */
  | 'replaced'
  /** It is over, whether it took that place or not. */
  | 'replacingOver'
  /** The daemon stops. */
  | 'ending';

export type ContentOutcome =
  /** Expected here, and changes nothing: not the reason either. */
  | 'nothing'
  /** Cannot come here: an error of ours, thrown. */
  | 'throw'
  /** Whoever asks hears why it cannot be. */
  | 'refuse'
  | { readonly to: ContentPhase };

type Row = Readonly<Record<ContentEvent, ContentOutcome>>;

const NOTHING = 'nothing';
const NEVER = 'throw';
const REFUSE = 'refuse';
const OPEN = { to: 'open' } as const;
const UNWRITABLE = { to: 'unwritable' } as const;
const CLOSED = { to: 'closed' } as const;
const DAMAGED = { to: 'damaged' } as const;
const STOPPED = { to: 'stopped' } as const;
const ENDED = { to: 'ended' } as const;
/** Nothing is on its way that could take the place of what is there, or be over. */
const NONE_ON_ITS_WAY = { replaced: NEVER, replacingOver: NEVER } as const;

const HOLDING: Readonly<Record<Holding, Row>> = {
  empty: {
    opened: OPEN,
    diskFailed: CLOSED,
    foundDamaged: DAMAGED,
    cannotGoOn: STOPPED,
    reopening: NEVER,
    replacing: { to: 'replacing empty' },
    ...NONE_ON_ITS_WAY,
    ending: ENDED,
  },
  open: {
    opened: NEVER,
    diskFailed: UNWRITABLE,
    foundDamaged: DAMAGED,
    cannotGoOn: STOPPED,
    reopening: NEVER,
    replacing: { to: 'replacing open' },
    ...NONE_ON_ITS_WAY,
    ending: ENDED,
  },
  // A disk that takes nothing takes no copy either.
  unwritable: {
    opened: NEVER,
    diskFailed: UNWRITABLE,
    foundDamaged: DAMAGED,
    cannotGoOn: STOPPED,
    reopening: CLOSED,
    replacing: REFUSE,
    ...NONE_ON_ITS_WAY,
    ending: ENDED,
  },
  closed: {
    opened: OPEN,
    diskFailed: CLOSED,
    foundDamaged: DAMAGED,
    cannotGoOn: STOPPED,
    reopening: CLOSED,
    replacing: REFUSE,
    ...NONE_ON_ITS_WAY,
    ending: ENDED,
  },
  // A disk that fails takes nothing away from the need of a copy. Damage may be found while the files are being opened.
  damaged: {
    opened: NOTHING,
    diskFailed: NOTHING,
    foundDamaged: DAMAGED,
    cannotGoOn: STOPPED,
    reopening: NEVER,
    replacing: { to: 'replacing damaged' },
    ...NONE_ON_ITS_WAY,
    ending: ENDED,
  },
  // A copy made because of damage would hide what a person must see.
  stopped: {
    opened: NOTHING,
    diskFailed: NOTHING,
    foundDamaged: NOTHING,
    cannotGoOn: STOPPED,
    reopening: NEVER,
    replacing: { to: 'replacing stopped' },
    ...NONE_ON_ITS_WAY,
    ending: ENDED,
  },
};

/**
 * While an import or a copy is on its way, what else happens has the same consequences as without it: only that there
 * is one at a time, and that what it brings is opened by itself.
 */
function replacing(holding: Holding): Row {
  const beside = (outcome: ContentOutcome): ContentOutcome =>
    typeof outcome === 'string' || !isHolding(outcome.to) ? outcome : { to: `replacing ${outcome.to}` };
  const { opened, diskFailed, foundDamaged, cannotGoOn, ending } = HOLDING[holding];
  return {
    opened: beside(opened),
    diskFailed: beside(diskFailed),
    foundDamaged: beside(foundDamaged),
    cannotGoOn: beside(cannotGoOn),
    reopening: NEVER,
    replacing: REFUSE,
    replaced: { to: 'replacing empty' },
    replacingOver: { to: holding },
    ending,
  };
}

function isHolding(phase: ContentPhase): phase is Holding {
  return phase in HOLDING;
}

export const CONTENT_TABLE: Readonly<Record<ContentPhase, Row>> = {
  ...HOLDING,
  'replacing empty': replacing('empty'),
  'replacing open': replacing('open'),
  'replacing unwritable': replacing('unwritable'),
  'replacing closed': replacing('closed'),
  'replacing damaged': replacing('damaged'),
  'replacing stopped': replacing('stopped'),
  ended: {
    opened: NOTHING,
    diskFailed: NOTHING,
    foundDamaged: NOTHING,
    cannotGoOn: NOTHING,
    reopening: NOTHING,
    replacing: REFUSE,
    replaced: NOTHING,
    replacingOver: NOTHING,
    ending: NOTHING,
  },
};

export interface ContentMeaning {
  /** What the protocol calls it. */
  readonly phase: SegmentPhase;
  readonly servesReads: boolean;
  /** Does the disk keep it from taking redo? */
  readonly isHeldByDisk: boolean;
  /** Only pages from elsewhere help. */
  readonly needsCopy: boolean;
  /** An import or a copy is on its way. */
  readonly isReplacing: boolean;
}

const ALONE: Readonly<Record<Holding, ContentMeaning>> = {
  empty: { phase: 'EMPTY', servesReads: true, isHeldByDisk: false, needsCopy: true, isReplacing: false },
  open: { phase: 'READY', servesReads: true, isHeldByDisk: false, needsCopy: false, isReplacing: false },
  unwritable: { phase: 'READY', servesReads: true, isHeldByDisk: true, needsCopy: false, isReplacing: false },
  closed: { phase: 'DAMAGED', servesReads: false, isHeldByDisk: true, needsCopy: false, isReplacing: false },
  damaged: { phase: 'DAMAGED', servesReads: false, isHeldByDisk: false, needsCopy: true, isReplacing: false },
  stopped: { phase: 'DAMAGED', servesReads: false, isHeldByDisk: false, needsCopy: false, isReplacing: false },
};

/** The copy that it may need is on its way. */
const beside = (holding: Holding): ContentMeaning => ({ ...ALONE[holding], phase: 'IMPORTING', needsCopy: false, isReplacing: true });

export const CONTENT_MEANING: Readonly<Record<ContentPhase, ContentMeaning>> = {
  ...ALONE,
  'replacing empty': beside('empty'),
  'replacing open': beside('open'),
  'replacing unwritable': beside('unwritable'),
  'replacing closed': beside('closed'),
  'replacing damaged': beside('damaged'),
  'replacing stopped': beside('stopped'),
  ended: { phase: 'EMPTY', servesReads: true, isHeldByDisk: false, needsCopy: false, isReplacing: false },
};
