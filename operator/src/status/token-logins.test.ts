import { expect, test } from 'vitest';
import type { Observed } from '../observed/observed.ts';
import type { AgentReport } from '../observed/reports.ts';
import { readAgentStatus } from '../observed/reports.ts';
import { connectionSecret, appCredentials, tokenKeys } from '../specs/secrets.ts';
import { agentReport, healthy, makeCluster, NOW, plan, withEntry } from '../testing/fixtures.ts';
import { condition, statusOf } from '../testing/statuses.ts';

const cluster = makeCluster({
  spec: { storage: { size: '1Gi' }, postgresql: { logins: [{ serviceAccount: 'shop', role: 'app' }] } },
});
const saying = (change: Partial<AgentReport>): Observed => ({
  ...healthy(cluster),
  agents: withEntry(healthy(cluster).agents, 'demo-1', agentReport(change)),
});
const verdict = (observed: Observed) => condition(statusOf(observed), 'TokenLoginsReady');
const LISTENING = { state: 'listening', message: '' };

test('where nobody may log in by a token nothing is said of it', () => {
  expect(verdict(healthy())).toBeUndefined();
});

test('a port that listens is told of, with what a token has to be', () => {
  expect(verdict(saying({ tokenPort: LISTENING }))).toMatchObject({
    status: 'True',
    message: expect.stringContaining('port 5433 of every Service takes tokens for the audience kube-aurora/default/demo'),
  });
});

test.each([
  [{ state: 'failed', message: 'listen EADDRINUSE' }, 'TokenLoginsUnavailable', 'demo-1 cannot open port 5433: listen EADDRINUSE'],
  [{ state: 'listening', message: 'the API server answered 403' }, 'TokenLoginsUnavailable', 'demo-1: the API server answered 403'],
  [{ state: 'opening', message: '' }, 'TokenLoginsStarting', 'demo-1 does not listen at port 5433 yet'],
  [{ state: 'closed', message: '' }, 'TokenLoginsStarting', 'demo-1 does not listen at port 5433 yet'],
  [undefined, 'TokenLoginsStarting', 'demo-1 runs a release that takes no tokens'],
])('a port that is %j is what is wrong', (tokenPort, reason, words) => {
  const observed = saying(tokenPort === undefined ? {} : { tokenPort });
  expect(verdict(observed)).toMatchObject({ status: 'False', reason, message: expect.stringContaining(words) });
  expect(condition(statusOf(observed), 'Ready'), 'passwords and certificates work').toMatchObject({ status: 'True' });
});

test('an instance that is not up yet has no port to speak of', () => {
  expect(verdict(saying({ phase: 'opening', tokenPort: { state: 'listening', message: 'there is no certificate' } }))).toMatchObject({
    reason: 'TokenLoginsStarting',
    message: expect.stringContaining('no instance that runs'),
  });
});

test('what an agent says is read', () => {
  expect(readAgentStatus({ tokenPort: LISTENING }, 'u', NOW).tokenPort).toEqual(LISTENING);
  expect(readAgentStatus({ tokenPort: 7 }, 'u', NOW).tokenPort).toBeUndefined();
});

test("a role's Secret names the port and the audience for as long as a token may be its password", () => {
  const credentials = appCredentials(cluster);
  const made = connectionSecret(cluster, credentials, 'secret', undefined);
  expect(made.data).not.toHaveProperty('token-port');
  const withKeys = { ...made, data: { ...made.data, ...tokenKeys(cluster, credentials) } };
  const secretOf = (of: typeof cluster, live: typeof made) => {
    const observed = healthy(of);
    const { actions } = plan({ ...observed, secrets: withEntry(observed.secrets, live.metadata.name, live) });
    return actions.flatMap((action) => (action.kind === 'apply' && action.object.metadata.name === 'demo-app' ? [action.object] : []));
  };
  const texts = (object: unknown) => {
    const { data } = object as { readonly data: Readonly<Record<string, string>> };
    return ['token-port', 'token-audience'].map((key) => (data[key] === undefined ? undefined : atob(data[key])));
  };
  expect(secretOf(cluster, made).map(texts)).toEqual([['5433', 'kube-aurora/default/demo']]);
  expect(secretOf(makeCluster(), withKeys).map(texts)).toEqual([[undefined, undefined]]);
});
