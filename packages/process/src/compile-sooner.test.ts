import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { TIER_UP } from './index.ts';

const MODULE = new URL('compile-sooner.ts', import.meta.url).href;

/** V8's own report of a process in which a function runs two hundred times, once a turn of the event loop. */
function report(prelude: string): string {
  const program = `
    ${prelude}
    let turns = 0;
    const turn = () => { if (++turns < 200) setImmediate(turn); };
    turn();
  `;
  return execFileSync(process.execPath, ['--trace-opt', '--input-type=module', '--eval', program], { encoding: 'utf8' });
}
const MARKED = /marking .*<JSFunction turn .* for optimization/u;

describe('compileSooner', () => {
  it('sets what this V8 knows: a release that calls it otherwise would go by its own counts', () => {
    const known = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8' });
    for (const flag of Object.keys(TIER_UP)) expect(known).toContain(`--${flag} `);
  });

  it('has a function compiled well that ran two hundred times, as V8 by itself does not', () => {
    expect(report(`import { compileSooner } from '${MODULE}'; compileSooner();`)).toMatch(MARKED);
    expect(report('')).not.toMatch(MARKED);
  });
});
