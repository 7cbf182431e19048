import { expect, test } from 'vitest';
import { systemClock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { readRules, type AccessRules } from './access-files.ts';
import { LoginRules } from './login-rules.ts';

const rulesOf = (...lines: string[]): AccessRules => {
  const read = readRules(JSON.stringify(lines));
  if (read.kind !== 'read') throw new Error(read.why);
  return read.rules;
};
const GOOD = rulesOf('host all all 10.0.0.0/8 reject');
const OTHER = rulesOf('hostssl all all all cert');
const BAD = rulesOf('host all all all nonsense');

/** What is mounted, and a PostgreSQL that takes all but BAD. */
function rig() {
  const mounted: { wanted: string; accepted?: string } = { wanted: '[]' };
  const asked: (readonly string[])[] = [];
  const text = ({ lines }: AccessRules): string => JSON.stringify(lines);
  const rules = new LoginRules({
    files: {
      wanted: () => Promise.resolve(readRules(mounted.wanted)),
      accepted: () => {
        const read = mounted.accepted === undefined ? undefined : readRules(mounted.accepted);
        return Promise.resolve(read?.kind === 'read' ? read.rules : undefined);
      },
    },
    clock: systemClock(),
    logger: silentLogger(),
  });
  const server = {
    admit: ({ lines }: AccessRules) => {
      asked.push(lines);
      return Promise.resolve(lines === BAD.lines || lines[0] === BAD.lines[0] ? 'line 1: invalid method' : undefined);
    },
  };
  const want = (wanted: AccessRules): void => void (mounted.wanted = text(wanted));
  return { mounted, asked, rules, server, want, text };
}

test('lines that nobody knows are asked for before anybody is let in', async () => {
  const { rules, server, want, asked } = rig();
  want(GOOD);
  expect(await rules.choose(), 'closed to the network').toBeUndefined();
  expect(rules.status).toMatchObject({ state: 'pending', running: undefined });
  await rules.look(server);
  expect(rules.status).toMatchObject({ state: 'applied', running: GOOD.fingerprint });
  expect(await rules.choose(), 'the next PostgreSQL starts with them').toEqual(GOOD);
  await rules.look(server);
  expect(asked).toEqual([GOOD.lines]);
});

test('what PostgreSQL refuses leaves those before, and is asked for once', async () => {
  const { rules, server, want, asked, mounted } = rig();
  want(GOOD);
  await rules.choose();
  await rules.look(server);
  want(BAD);
  await rules.look(server);
  await rules.look(server);
  expect(rules.status).toEqual({ wanted: BAD.fingerprint, running: GOOD.fingerprint, state: 'refused', message: 'line 1: invalid method' });
  expect(asked).toEqual([GOOD.lines, BAD.lines]);
  expect(await rules.choose()).toEqual(GOOD);
  mounted.wanted = '["one \\\\"]';
  await rules.look(server);
  expect(rules.status).toMatchObject({
    state: 'refused',
    running: GOOD.fingerprint,
    message: 'line 1 goes on in another: write it as one',
  });
  want(OTHER);
  await rules.look(server);
  expect(rules.status).toMatchObject({ state: 'applied', running: OTHER.fingerprint });
});

test('a new pod starts with those that were recorded, whatever is wanted meanwhile; without any it is closed', async () => {
  const { rules, server, want, mounted, text } = rig();
  want(BAD);
  mounted.accepted = text(GOOD);
  expect(await rules.choose()).toEqual(GOOD);
  await rules.look(server);
  expect(rules.status).toMatchObject({ state: 'refused', running: GOOD.fingerprint });
  const fresh = rig();
  fresh.mounted.wanted = 'no list';
  expect(await fresh.rules.choose()).toBeUndefined();
  await fresh.rules.look(fresh.server);
  expect(fresh.rules.status).toMatchObject({ state: 'refused', running: undefined });
});

test('what is wanted and recorded needs no question, nor do none at all', async () => {
  const { rules, want, mounted, text } = rig();
  expect(await rules.choose()).toMatchObject({ lines: [] });
  want(GOOD);
  mounted.accepted = text(GOOD);
  expect(await rules.choose()).toEqual(GOOD);
});

test.each(['["a\\nb"]', '["a \\\\ "]', '[1]', '{}', '[', '["a\\u0000"]'])('%s is no list of lines', (text) => {
  expect(readRules(text)).toMatchObject({ kind: 'malformed' });
});
