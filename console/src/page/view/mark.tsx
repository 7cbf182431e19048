import type { Tone } from '../model/tones.ts';

/** A shape for each tone: a tick, an arrow that goes round, a triangle, a cross. */
const SHAPES: Readonly<Record<Tone, string>> = {
  good: 'M4.5 8.4l2.4 2.4 4.6-5.4',
  busy: 'M11.4 6.2A4 4 0 1 0 12 8.6M11.8 3.6v2.8H9',
  warn: 'M8 4.4v4.4M8 11.4v.2',
  bad: 'M5.2 5.2l5.6 5.6M10.8 5.2l-5.6 5.6',
};
const OUTLINES: Readonly<Record<Tone, string>> = {
  good: 'M8 .8a7.2 7.2 0 1 0 0 14.4A7.2 7.2 0 0 0 8 .8Z',
  busy: 'M8 .8a7.2 7.2 0 1 0 0 14.4A7.2 7.2 0 0 0 8 .8Z',
  warn: 'M8 .9 15.6 14.6H.4Z',
  bad: 'M4.9 .8h6.2l4.1 4.1v6.2l-4.1 4.1H4.9L.8 11.1V4.9Z',
};

/** What a state is, at a glance; the word stands beside it. */
export function Mark({ tone, size = 16 }: { readonly tone: Tone; readonly size?: number }) {
  return (
    <svg class={`mark tone-${tone}`} width={size} height={size} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path class="mark-ground" d={OUTLINES[tone]} />
      <path class="mark-sign" d={SHAPES[tone]} />
    </svg>
  );
}
