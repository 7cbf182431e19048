import type { WriteEnd } from '../flush-outcome.ts';

/**
 * The states of a write path, and what each event does in each of them. WritePath looks every event up here; the
 * compiler demands every cell.
 *
 * | phase   |                                                                                          |
 * | ------- | ---------------------------------------------------------------------------------------- |
 * | open    | WAL is read and sent, and what four segments hold is told to those who wait for it       |
 * | fenced  | another writer owns the volume; what waited may be in the volume or not                  |
 * | damaged | the local WAL is not what PostgreSQL said it wrote; the volume is sound                  |
 * | stopped | we ended it ourselves                                                                    |
 *
 * Invariant: an end is final and the first one counts. From then on nothing is read, sent or acknowledged, and whoever
 * waits, or comes later, hears which end it was.
 */
export type WritePathPhase = 'open' | WriteEnd;

export type WritePathEvent =
  /** The first batch of the epoch is to be made durable. */
  | 'firstBatch'
  /** PostgreSQL waits until its WAL is durable. */
  | 'flush'
  /** PostgreSQL has written WAL, and waits for nothing. */
  | 'wrote'
  /** The rest of a long pass over the WAL is due. */
  | 'due'
  /** VDL has moved. */
  | 'durable'
  /** A segment named a later writer. */
  | 'overtaken'
  /** The local WAL cannot be what PostgreSQL wrote. */
  | 'badWal'
  /** Somebody wants it to end. */
  | 'stop';

/**
 * | action  | leads to  |                                                                                 |
 * | ------- | --------- | ------------------------------------------------------------------------------- |
 * | nothing | as before | expected here, and changes nothing                                              |
 * | work    | as before | what the event asks for is done                                                 |
 * | refuse  | as before | whoever asks hears how the write path ended                                     |
 * | fence   | fenced    | all who wait hear so, and the session does                                      |
 * | giveUp  | damaged   | likewise                                                                        |
 * | stop    | stopped   | all who wait hear so; the session knows                                         |
 */
export type WritePathAction = 'nothing' | 'work' | 'refuse' | 'fence' | 'giveUp' | 'stop';

const OVER: Readonly<Record<WritePathEvent, WritePathAction>> = {
  firstBatch: 'refuse',
  flush: 'refuse',
  wrote: 'nothing',
  // Scheduled, or on its way, when it ended.
  due: 'nothing',
  durable: 'nothing',
  // The first end counts.
  overtaken: 'nothing',
  badWal: 'nothing',
  stop: 'nothing',
};

export const WRITE_PATH_TABLE: Readonly<Record<WritePathPhase, Readonly<Record<WritePathEvent, WritePathAction>>>> = {
  open: {
    firstBatch: 'work',
    flush: 'work',
    wrote: 'work',
    due: 'work',
    durable: 'work',
    overtaken: 'fence',
    badWal: 'giveUp',
    stop: 'stop',
  },
  fenced: OVER,
  damaged: OVER,
  stopped: OVER,
};

/** Where an action that ends it leads to. */
export const END_OF: Readonly<Partial<Record<WritePathAction, WriteEnd>>> = { fence: 'fenced', giveUp: 'damaged', stop: 'stopped' };
