import type { Schema } from './open-api.ts';
import { FAILOVER_CAUSES, FAILOVER_PHASES, SWITCHOVER_CAUSES, SWITCHOVER_STATES, type FailoverPhases } from './status-types.ts';

/** In the status: how the writer's place went to another, and what was lost by it. */

const PHASE_WORDS: Readonly<Record<keyof FailoverPhases, string>> = {
  detectedMs: 'From the last that was heard of the lost writer until its place was to be taken.',
  drainedMs: 'Of a switchover: until the transactions under way had ended, or their time was up.',
  openedMs: 'Until the volume was open, and the lost writer could write no more.',
  fedMs: 'Until PostgreSQL had all that is in the volume.',
  promotedMs: 'Until it took writes.',
  readyMs: 'Until it answered: no earlier writer can answer anybody any more.',
};

const phases: Schema = {
  type: 'object',
  description: 'Milliseconds that each part took, one after the other.',
  properties: Object.fromEntries(
    FAILOVER_PHASES.map((phase) => [phase, { type: 'integer', format: 'int64', description: PHASE_WORDS[phase] }]),
  ),
};

export const switchover: Schema = {
  type: 'object',
  description: "The last time that the writer's place was given away on purpose.",
  required: ['to', 'state'],
  properties: {
    to: { type: 'string', description: 'Instance that was to write.', maxLength: 253 },
    from: { type: 'string', description: 'Instance that wrote.' },
    cause: {
      type: 'string',
      description: 'Annotation: a person asked for it. Update: the pod of the writer was to be replaced.',
      enum: SWITCHOVER_CAUSES,
    },
    state: {
      type: 'string',
      description: 'Refused: it could not be as things were. Failed: it was begun, and the writer stayed.',
      enum: SWITCHOVER_STATES,
    },
    message: { type: 'string', description: 'What is done, or what came of it and why.' },
    startedAt: { type: 'string', format: 'date-time', description: 'When it was asked for.' },
    endedAt: { type: 'string', format: 'date-time', description: 'When it came to its end.' },
    phases,
    transactions: {
      type: 'object',
      description: 'What became of the transactions that were under way, where that is known.',
      required: ['finished', 'cutOff'],
      properties: {
        finished: { type: 'integer', format: 'int64', description: 'Ended by themselves while spec.failover.switchoverDrain lasted.' },
        cutOff: {
          type: 'integer',
          format: 'int64',
          description: 'Were under way still then: rolled back, unless they ended before the new writer had opened the volume.',
        },
      },
    },
    annotated: { type: 'boolean', description: 'It is over, and the annotation that asked for it is yet to be seen gone.' },
  },
};

export const failover: Schema = {
  type: 'object',
  description: 'The last time that an instance took the place of a lost writer.',
  properties: {
    from: { type: 'string', description: 'Instance that was lost.' },
    to: { type: 'string', description: 'Instance that took its place.' },
    reason: {
      type: 'string',
      description: 'Silent: storage did not hear it any more. PostgresDied: its agent said that its PostgreSQL is dead.',
      enum: FAILOVER_CAUSES,
    },
    at: { type: 'string', format: 'date-time', description: 'When it was decided.' },
    tookMs: {
      type: 'integer',
      format: 'int64',
      description: 'Milliseconds from the last that was heard of the lost writer to an answer of the new one.',
    },
    inPlace: { type: 'boolean', description: 'Its PostgreSQL went on, with its sessions and its cache. Otherwise a new one was started.' },
    phases,
  },
};

export const lostSlot: Schema = {
  type: 'object',
  required: ['name', 'why', 'at'],
  properties: {
    name: { type: 'string', description: 'Name of the slot.' },
    why: { type: 'string', description: 'Why it did not go on.' },
    at: { type: 'string', format: 'date-time', description: 'When that was found.' },
  },
};
