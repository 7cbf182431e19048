import { expect, test } from 'vitest';
import { whyNot, type SwitchoverCandidate } from './switchover-request.ts';

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
