import { pause } from '@kube-aurora/clock';
import type { Surroundings } from '../surroundings.ts';

const LOOK_MS = 1000;
/** Cursor home, and what is below it away: no flicker, and what was scrolled stays. */
const REDRAW = '\u001B[H\u001B[J';
const CLEAR = '\u001B[2J';

/** Shows something once, or again and again until the signal: on a terminal in place, in a pipe when more than ages has changed. */
export async function showAgain(
  around: Pick<Surroundings, 'write' | 'signal' | 'screen'>,
  watch: boolean,
  make: () => Promise<string>,
): Promise<void> {
  const { write, signal } = around;
  if (!watch) return write(await make());
  let shown = '';
  while (!signal.aborted) {
    const text = await make();
    const { width } = around.screen();
    if (width !== Infinity) write(`${shown === '' ? CLEAR : ''}${REDRAW}${text}`);
    else if (withoutAges(text) !== withoutAges(shown)) write(shown === '' ? text : `\n${text}`);
    shown = text;
    await pause(LOOK_MS, signal);
  }
}

function withoutAges(text: string): string {
  return text.replaceAll(/\b(\d+[smhd])+\b/g, '').replaceAll(/ +/g, ' ');
}
