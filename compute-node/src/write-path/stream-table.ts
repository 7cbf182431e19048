/**
 * The states of a segment's stream, and what each event does in each of them. SegmentStream looks every event up here;
 * the compiler demands every cell.
 *
 * | phase      |                                                                                             |
 * | ---------- | ------------------------------------------------------------------------------------------- |
 * | away       | no stream: it was never opened, or broke and is opened again in a moment                     |
 * | connecting | the hello, with our epoch and history, is sent and not answered                              |
 * | streaming  | fed from the ring                                                                            |
 * | lagging    | has a stream and is not fed: the ring no longer has what it lacks, its peers feed it         |
 * | unwritable | has a stream and is not fed: its disk takes no redo                                          |
 * | fenced     | it knows a later writer: nothing that it says counts any more                                |
 * | stopped    | likewise, since our epoch is over                                                            |
 */
export type StreamPhase = 'away' | 'connecting' | 'streaming' | 'lagging' | 'unwritable' | 'fenced' | 'stopped';

export type StreamEvent =
  /** An answer at our epoch: it holds all redo up to an SCL. The first one answers the hello. */
  | 'answered'
  /** It has not what the batch follows. */
  | 'gap'
  /** It refuses us, though it names no later epoch: whoever raced us for ours, and lost, holds its promise. */
  | 'refused'
  /** It says on the stream that its disk takes nothing. */
  | 'diskFull'
  /** It names a later epoch. */
  | 'overtaken'
  /** The stream ended or failed. */
  | 'broke'
  /** The ring no longer has what follows the last batch it was sent. */
  | 'fellOff'
  /** Time to open a stream, or to ask how far it is. */
  | 'due'
  /** Asked, it holds our history, takes redo, and says how far it is. */
  | 'statusWell'
  /** Asked, it holds our history, and its disk takes nothing. */
  | 'statusFull'
  /** Asked, it says nothing that counts, or does not answer. */
  | 'statusUnknown'
  | 'stop';

/**
 * | action      | leads to              |                                                              |
 * | ----------- | --------------------- | ------------------------------------------------------------ |
 * | nothing     | as before             | expected here, and changes nothing                            |
 * | throw       | as before             | cannot come here: an error of ours                            |
 * | connect     | connecting            | opens a stream and greets                                     |
 * | acknowledge | as before             | counts the SCL                                                |
 * | resume      | streaming, or lagging | counts the SCL and sends what follows it, if the ring has it  |
 * | lag         | lagging               | sends nothing more, and asks in a second how far it is        |
 * | hold        | unwritable            | likewise                                                      |
 * | ask         | as before             | asks                                                          |
 * | askLater    | as before             | asks again in a second                                        |
 * | reconnect   | away                  | drops the stream, and opens another one after a while         |
 * | fence       | fenced                | says so to the writer                                         |
 * | stop        | stopped               | drops the stream                                              |
 */
export type StreamAction =
  | 'nothing'
  | 'throw'
  | 'connect'
  | 'acknowledge'
  | 'resume'
  | 'lag'
  | 'hold'
  | 'ask'
  | 'askLater'
  | 'reconnect'
  | 'fence'
  | 'stop';

/**
 * Answers of a stream that was dropped are not heard: none comes in `away`. What was asked may be answered at any time.
 */
export const STREAM_TABLE: Readonly<Record<StreamPhase, Readonly<Record<StreamEvent, StreamAction>>>> = {
  away: {
    answered: 'throw',
    gap: 'throw',
    refused: 'throw',
    diskFull: 'throw',
    overtaken: 'fence',
    broke: 'throw',
    fellOff: 'throw',
    due: 'connect',
    statusWell: 'nothing',
    statusFull: 'nothing',
    statusUnknown: 'nothing',
    stop: 'stop',
  },
  connecting: {
    answered: 'resume',
    gap: 'reconnect',
    refused: 'reconnect',
    diskFull: 'hold',
    overtaken: 'fence',
    broke: 'reconnect',
    fellOff: 'throw',
    due: 'throw',
    statusWell: 'nothing',
    statusFull: 'nothing',
    statusUnknown: 'nothing',
    stop: 'stop',
  },
  streaming: {
    answered: 'acknowledge',
    // What was sent after it is refused too: begin again from what it says it holds.
    gap: 'reconnect',
    refused: 'reconnect',
    diskFull: 'hold',
    overtaken: 'fence',
    broke: 'reconnect',
    fellOff: 'lag',
    due: 'throw',
    statusWell: 'nothing',
    statusFull: 'nothing',
    statusUnknown: 'nothing',
    stop: 'stop',
  },
  lagging: {
    answered: 'acknowledge',
    // Of what was on its way when it fell off.
    gap: 'nothing',
    refused: 'reconnect',
    diskFull: 'hold',
    overtaken: 'fence',
    broke: 'reconnect',
    fellOff: 'throw',
    due: 'ask',
    statusWell: 'resume',
    statusFull: 'hold',
    statusUnknown: 'askLater',
    stop: 'stop',
  },
  unwritable: {
    answered: 'acknowledge',
    gap: 'nothing',
    refused: 'reconnect',
    // What else is on its way it refuses too.
    diskFull: 'hold',
    overtaken: 'fence',
    broke: 'reconnect',
    fellOff: 'throw',
    due: 'ask',
    statusWell: 'resume',
    statusFull: 'hold',
    statusUnknown: 'askLater',
    stop: 'stop',
  },
  fenced: {
    answered: 'nothing',
    gap: 'nothing',
    refused: 'nothing',
    diskFull: 'nothing',
    overtaken: 'nothing',
    broke: 'nothing',
    fellOff: 'throw',
    due: 'nothing',
    statusWell: 'nothing',
    statusFull: 'nothing',
    statusUnknown: 'nothing',
    stop: 'stop',
  },
  stopped: {
    answered: 'nothing',
    gap: 'nothing',
    refused: 'nothing',
    diskFull: 'nothing',
    overtaken: 'nothing',
    broke: 'nothing',
    fellOff: 'throw',
    due: 'nothing',
    statusWell: 'nothing',
    statusFull: 'nothing',
    statusUnknown: 'nothing',
    stop: 'nothing',
  },
};
