import { expect, it } from 'vitest';
import type { RedoEngine } from './engine.ts';
import { EngineRegistry, EngineUnknownError } from './engine-registry.ts';

/** The registry looks at nothing of an engine but its id. */
const engineOf = (engine: string, major: number): RedoEngine => ({ id: { engine, major } }) as RedoEngine;

it('chooses by name and major version', () => {
  const engines = [engineOf('postgres', 18), engineOf('postgres', 19), engineOf('other', 18)];
  const registry = new EngineRegistry(engines);
  for (const one of engines) expect(registry.get(one.id)).toBe(one);
});

it('names the engine that it does not have, and those that it has', () => {
  const registry = new EngineRegistry([engineOf('postgres', 18), engineOf('postgres', 19)]);
  expect(() => registry.get({ engine: 'postgres', major: 17 })).toThrow(EngineUnknownError);
  expect(() => registry.get({ engine: 'mysql', major: 9 })).toThrow(
    'the volume is of mysql 9; this storage daemon has postgres 18, postgres 19',
  );
});

it('takes no two engines of one name and major version', () => {
  expect(() => new EngineRegistry([engineOf('postgres', 18), engineOf('postgres', 18)])).toThrow('two engines postgres 18');
});
