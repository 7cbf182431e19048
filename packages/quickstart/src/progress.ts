/** What `npm start` shows while it waits: one line a step, rewritten in place on a terminal, appended elsewhere. */
export class Progress {
  readonly #out: NodeJS.WriteStream;
  readonly #started = performance.now();
  #open = '';

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  #seconds(): string {
    return `${((performance.now() - this.#started) / 1000).toFixed(1)} s`;
  }

  /** Shows what is being waited for now. Only changes are printed when the output is not a terminal. */
  waiting(step: string, detail: string): void {
    const line = `  … ${step.padEnd(16)} ${detail}`;
    // A line that wraps could not be rewritten in place.
    if (this.#out.isTTY) this.#out.write(`\r\x1b[2K${line.slice(0, Math.max(20, this.#out.columns - 1))}`);
    else if (line !== this.#open) this.#out.write(`${line}\n`);
    this.#open = line;
  }

  done(step: string, detail: string): void {
    const line = `  ✓ ${step.padEnd(16)} ${detail}`;
    this.#out.write(this.#out.isTTY ? `\r\x1b[2K${line}  \x1b[2m${this.#seconds()}\x1b[0m\n` : `${line}  (${this.#seconds()})\n`);
    this.#open = '';
  }

  /** Something worth knowing that is no step: a line of its own, which stays. */
  note(text: string): void {
    const open = this.#open;
    this.#out.write(`${this.#out.isTTY ? '\r\x1b[2K' : ''}  ! ${text}\n`);
    if (open !== '' && this.#out.isTTY) this.#out.write(open.slice(0, Math.max(20, this.#out.columns - 1)));
  }

  /** Leaves the line that is being rewritten, so that other text can follow. */
  interrupt(): void {
    if (this.#open !== '' && this.#out.isTTY) this.#out.write('\n');
    this.#open = '';
  }
}
