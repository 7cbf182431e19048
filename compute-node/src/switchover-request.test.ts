import { expect, test } from 'vitest';
import { requestSwitchover, whyNot, type SwitchoverCandidate } from './switchover-request.ts';

const READER: SwitchoverCandidate = { step: 'running', phase: 'running', message: 'running', answers: true, lagMs: 20 };

test.each<[string, boolean, Partial<SwitchoverCandidate>, string | undefined]>([
  ['a reader that answers', true, {}, undefined],
  ['one that is just not too far behind', true, { lagMs: 5000 }, undefined],
  ['one that is', true, { lagMs: 5100 }, 'demo-2 is 5.1 s behind the writer'],
  ['one that does not answer', true, { answers: false, message: 'PostgreSQL starts' }, 'it is running (PostgreSQL starts)'],
  ['one that has no session', true, { step: 'asking', phase: 'opening', message: 'asking storage' }, 'it is opening (asking storage)'],
  ['the writer', false, {}, 'demo-2 is the writer already'],
])('%s', (_what, isReader, differs, why) => {
  const said = whyNot('demo-2', isReader, { ...READER, ...differs });
  if (why === undefined) expect(said).toBeUndefined();
  else expect(said).toContain(why);
});

const CLAIM = {
  kind: 'open',
  why: 'switchover',
  heldEpoch: 4n,
  from: { epoch: 4n, writerId: 'demo-1/a', instance: 'demo-1' },
  goneForMs: 0,
} as const;

/** Asked of a reader that is another after it has waited for slots. */
async function asked(lost: readonly string[], after: Partial<SwitchoverCandidate> = {}) {
  let candidate = READER;
  const elected: unknown[] = [];
  const role = { hasTurn: false, isReader: true, claim: () => Promise.resolve(CLAIM), elect: (turn: unknown) => void elected.push(turn) };
  const missingSlots = (): Promise<readonly string[]> => {
    candidate = { ...READER, ...after };
    return Promise.resolve(lost);
  };
  const answer = await requestSwitchover({
    instance: 'demo-2',
    role,
    candidate: () => candidate,
    missingSlots,
    signal: new AbortController().signal,
  });
  return { ...answer, elected: elected.length };
}

test('slots that the reader has not come to keep are named, and hold nobody up; what became of the reader meanwhile counts', async () => {
  const taking = 'demo-2 takes the place of demo-1; /status says how it went';
  expect(await asked([])).toEqual({ accepted: true, message: taking, elected: 1 });
  expect(await asked(['a', 'b'])).toEqual({
    accepted: true,
    message: `${taking}; replication slots that it had not come to keep in time are lost by that: a, b`,
    elected: 1,
  });
  expect(await asked([], { step: 'stopping', phase: 'stopping', answers: false })).toMatchObject({ accepted: false, elected: 0 });
});
