/** How something reads at a glance. */
export type Tone = 'good' | 'warn' | 'bad' | 'dim' | 'bold' | 'plain';

const SGR: Readonly<Record<Exclude<Tone, 'plain'>, string>> = { good: '32', warn: '33', bad: '31', dim: '2', bold: '1' };

/** Text for a terminal or a pipe. */
export interface Screen {
  /** Columns; Infinity in a pipe, where nothing is cut or wrapped. */
  readonly width: number;
  readonly colour: boolean;
}

export function paint(screen: Screen, tone: Tone, text: string): string {
  return screen.colour && tone !== 'plain' && text !== '' ? `\u001B[${SGR[tone]}m${text}\u001B[0m` : text;
}

/** Colour on a terminal alone, and never where NO_COLOR is set (https://no-color.org). */
export function screenFor(terminal: { readonly isTTY?: boolean; readonly columns?: number }, noColor: string | undefined): Screen {
  const isTerminal = terminal.isTTY === true;
  return { width: isTerminal ? Math.max(40, terminal.columns ?? 80) : Infinity, colour: isTerminal && (noColor ?? '') === '' };
}

/** Words into lines no longer than `width`; a word that is longer stands alone. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

/** A paragraph: `first` before its first line, as much room before the others. */
export function paragraph(screen: Screen, first: string, text: string, tone: Tone = 'plain'): string[] {
  const indent = ' '.repeat(first.length);
  return wrap(text, screen.width - first.length).map((line, index) => `${index === 0 ? first : indent}${paint(screen, tone, line)}`);
}
