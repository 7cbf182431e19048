import { setFlagsFromString } from 'node:v8';

/**
 * Has V8 make machine code of a function when it is first called, by its quickest compiler. By itself V8 interprets what runs seldom, and
 * looks each name up anew: for a page that is read once in a while that was a quarter of a daemon's CPU. What runs often is optimized as ever.
 * NODE_OPTIONS does not take it: a program sets it as it starts.
 */
export function compileEarly(): void {
  setFlagsFromString('--always-sparkplug');
}
