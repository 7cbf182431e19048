import { setFlagsFromString } from 'node:v8';

/**
 * How much V8's heap may grow before it is collected, in percent of what was in use after the last collection; buffers
 * outside it count. By itself V8 lets a heap as small as ours grow by a quarter, so that a program through which pages
 * pass collects all of its 20 MiB for every 6 MiB of them: half of the time that such a page takes. What is spent is
 * memory: so much garbage may stand around. NODE_OPTIONS does not take it: a program sets it as it starts.
 */
export function letHeapGrow(percent: number): void {
  setFlagsFromString(`--heap-growing-percent=${percent}`);
}
