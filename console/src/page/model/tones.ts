import type { HealthLevel } from '@kube-aurora/cluster-view';
import type { InstanceView, SegmentView } from '../../answers/answers.ts';

/** Four tones for all states. Each has a colour, a shape and a word: none is told by its colour alone. */
export type Tone = 'good' | 'busy' | 'warn' | 'bad';

export interface State {
  readonly tone: Tone;
  readonly word: string;
}

export const LEVEL: Readonly<Record<HealthLevel, State>> = {
  well: { tone: 'good', word: 'Well' },
  busy: { tone: 'busy', word: 'On its way' },
  degraded: { tone: 'warn', word: 'Degraded' },
  down: { tone: 'bad', word: 'Down' },
};

/** The status says that it is well, and it does not answer us: one of both is about to be no longer so. */
const UNHEARD: State = { tone: 'warn', word: 'does not answer' };

/** A copy in one word. */
export function segmentState({ ready, fault, state, silentSince }: SegmentView): State {
  const word = (fault ?? state).toLowerCase().replaceAll('_', ' ');
  if (fault !== null) return { tone: ready ? 'warn' : 'bad', word };
  if (ready) return silentSince === null ? { tone: 'good', word: 'up' } : UNHEARD;
  if (state === 'IMPORTING' || state === 'EMPTY') return { tone: 'busy', word: state === 'EMPTY' ? 'empty' : 'copying' };
  return { tone: 'bad', word: state === 'READY' ? 'not up' : word };
}

/** An instance in one word. */
export function instanceState({ state, role, silentSince }: InstanceView): State {
  switch (state) {
    case 'Serving':
      return silentSince === null ? { tone: 'good', word: role === 'writer' ? 'takes writes' : 'serves reads' } : UNHEARD;
    case 'Lagging':
      return { tone: 'warn', word: 'lags' };
    case 'Starting':
      return { tone: 'busy', word: 'starting' };
    case 'Lost':
      return { tone: 'bad', word: 'lost' };
    default:
      return { tone: 'warn', word: state.toLowerCase() };
  }
}

export const SEVERITY: Readonly<Record<string, Tone>> = { critical: 'bad', warning: 'warn', hint: 'busy' };

export const HANDOVER: Readonly<Record<string, Tone>> = { InProgress: 'busy', Done: 'good', Refused: 'warn', Failed: 'bad' };
