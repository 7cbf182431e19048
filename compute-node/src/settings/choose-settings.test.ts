import fc from 'fast-check';
import { expect, test } from 'vitest';
import { candidateSets, chooseSettings, stateOf, type Candidates, type Finding } from './choose-settings.ts';
import { NO_SETTINGS, type SettingsSet } from './settings-files.ts';

const set = (fingerprint: string): SettingsSet => ({ fingerprint, parameters: new Map([['work_mem', fingerprint]]) });
const wanted = (fingerprint: string): Candidates['wanted'] => ({ kind: 'read', set: set(fingerprint) });
const refused: Finding = { kind: 'refused', words: 'no' };
const failed = (times: number): Finding => ({ kind: 'failed', words: 'ended', times });

test.each<[string, Candidates, [string, Finding][], string]>([
  ['a new set is tried', { wanted: wanted('new'), accepted: undefined, lastGood: undefined }, [], 'try new'],
  [
    'one that passed is used',
    { wanted: wanted('new'), accepted: set('old'), lastGood: undefined },
    [['new', { kind: 'passed' }]],
    'start new',
  ],
  ['one that ran in an earlier pod needs no trial', { wanted: wanted('old'), accepted: set('old'), lastGood: undefined }, [], 'start old'],
  [
    'refused: what ran in an earlier pod',
    { wanted: wanted('new'), accepted: set('old'), lastGood: undefined },
    [['new', refused]],
    'start old',
  ],
  ['refused: what ran last', { wanted: wanted('new'), accepted: set('old'), lastGood: set('last') }, [['new', refused]], 'start last'],
  [
    'a start that failed counts against a new set at once',
    { wanted: wanted('new'), accepted: set('old'), lastGood: undefined },
    [['new', failed(1)]],
    'start old',
  ],
  ['but not against one that ran', { wanted: wanted('old'), accepted: set('old'), lastGood: undefined }, [['old', failed(2)]], 'start old'],
  ['only the third time', { wanted: wanted('old'), accepted: set('old'), lastGood: undefined }, [['old', failed(3)]], 'start none'],
  [
    'nothing at all works: none',
    { wanted: wanted('new'), accepted: undefined, lastGood: undefined },
    [
      ['new', failed(1)],
      [NO_SETTINGS.fingerprint, failed(1)],
    ],
    'none',
  ],
  [
    'what can be no set',
    { wanted: { kind: 'malformed', fingerprint: 'x', why: 'no JSON' }, accepted: set('old'), lastGood: undefined },
    [],
    'start old',
  ],
])('%s', (_what, candidates, findings, expected) => {
  const choice = chooseSettings(candidates, new Map(findings));
  const name = choice.kind === 'none' ? '' : choice.set === NO_SETTINGS ? ' none' : ` ${choice.set.fingerprint}`;
  expect(`${choice.kind}${name}`).toBe(expected);
});

test('whatever is refused or fails, there is always a set to start with until every one has failed', () => {
  const finding = fc.oneof(fc.constant(undefined), fc.constant(refused), fc.constant<Finding>({ kind: 'passed' }), fc.constant(failed(1)));
  const name = fc.constantFrom('a', 'b', 'c');
  fc.assert(
    fc.property(
      name,
      fc.option(name),
      fc.option(name),
      fc.dictionary(name, finding),
      fc.boolean(),
      (want, accepted, last, found, defaultsFail) => {
        const findings = new Map<string, Finding>();
        for (const [key, value] of Object.entries(found)) if (value !== undefined) findings.set(key, value);
        if (defaultsFail) findings.set(NO_SETTINGS.fingerprint, failed(1));
        const candidates: Candidates = {
          wanted: wanted(want),
          accepted: accepted === null ? undefined : set(accepted),
          lastGood: last === null ? undefined : set(last),
        };
        const choice = chooseSettings(candidates, findings);
        if (choice.kind !== 'none') expect(findings.get(choice.set.fingerprint)?.kind).not.toBe('refused');
        else
          for (const { fingerprint } of candidateSets(candidates)) expect(['refused', 'failed']).toContain(findings.get(fingerprint)?.kind);
      },
    ),
  );
});

test('what is said of the wanted set', () => {
  expect(stateOf(wanted('new'), set('new'), new Map())).toEqual({ kind: 'applied' });
  expect(stateOf(wanted('new'), set('old'), new Map())).toEqual({ kind: 'pending' });
  expect(stateOf(wanted('new'), set('old'), new Map([['new', refused]]))).toEqual({ kind: 'refused', words: 'no' });
  expect(stateOf({ kind: 'malformed', fingerprint: 'x', why: 'no JSON' }, undefined, new Map())).toEqual({
    kind: 'refused',
    words: 'no JSON',
  });
});
