import { expect, test } from 'vitest';
import fc from 'fast-check';
import { judgeClaims, judgeReview, judgeRole, readClaims, type Claims, type Review } from './judge-token.ts';
import { readLogins, type Login, type Logins } from './logins.ts';
import { readReview } from './token-review.ts';

const AUDIENCE = 'kube-aurora/default/demo';
const SHOP: Login = { namespace: 'web', serviceAccount: 'shop', role: 'app', allowSuperuser: false };
const LOGINS: Logins = { audience: AUDIENCE, logins: [SHOP] };
const SUBJECT = 'system:serviceaccount:web:shop';
const CLAIMS: Claims = { subject: SUBJECT, audiences: [AUDIENCE, 'other'], issuedAt: 1000, expiresAt: 1900 };

const jwt = (claims: unknown): string => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`;

test('claims are read of what is a JWT of a ServiceAccount, and of nothing else', () => {
  expect(readClaims(jwt({ sub: SUBJECT, aud: [AUDIENCE], iat: 1, exp: 2 }))).toEqual({
    subject: SUBJECT,
    audiences: [AUDIENCE],
    issuedAt: 1,
    expiresAt: 2,
  });
  expect(readClaims(jwt({ sub: SUBJECT, aud: AUDIENCE, iat: 1, exp: 2 }))?.audiences).toEqual([AUDIENCE]);
  for (const wrong of [
    '',
    'secret',
    'a.b',
    'a.b.c.d',
    'a.!.c',
    jwt(null),
    jwt([]),
    jwt({ sub: 1, aud: [], iat: 1, exp: 2 }),
    jwt({ sub: 'x', aud: [1], iat: 1, exp: 2 }),
    jwt({ sub: 'x', aud: [] }),
  ])
    expect(readClaims(wrong), wrong).toBeUndefined();
  fc.assert(fc.property(fc.string(), (text) => void readClaims(text)));
});

test.each([
  ['no token', undefined, /is no token/],
  ['another audience', { ...CLAIMS, audiences: ['https://kubernetes.default.svc'] }, /is for https/],
  ['a token of an hour', { ...CLAIMS, expiresAt: CLAIMS.issuedAt + 3600 }, /issued for 3600 s/],
])('the API server is not asked of %s', (_what, claims, why) => {
  expect(judgeClaims(claims, 'app', LOGINS)).toMatchObject({
    kind: 'refused',
    refusal: { sqlState: '28P01' },
    why: expect.stringMatching(why),
  });
});

test('fifteen minutes are let in', () => {
  expect(judgeClaims(CLAIMS, 'app', LOGINS)).toBeUndefined();
  expect(judgeClaims({ ...CLAIMS, expiresAt: CLAIMS.issuedAt + 901 }, 'app', LOGINS)).toBeDefined();
});

const AUTHENTICATED: Review = { kind: 'authenticated', username: SUBJECT, audiences: [AUDIENCE] };
const judge = (review: Review, role = 'app', logins = LOGINS, nowMs = 1_500_000) =>
  judgeReview(review, { role, claims: CLAIMS, nowMs, logins });

test('who is named for the role is let in as it, and nobody else', () => {
  expect(judge(AUTHENTICATED)).toEqual({ kind: 'admitted', login: SHOP });
  const refused = (verdict: ReturnType<typeof judge>): string | undefined =>
    verdict.kind === 'refused' ? verdict.refusal.sqlState : undefined;
  expect(refused(judge(AUTHENTICATED, 'postgres'))).toBe('28000');
  expect(refused(judge(AUTHENTICATED, 'app', { ...LOGINS, logins: [{ ...SHOP, namespace: 'other' }] }))).toBe('28000');
  expect(refused(judge(AUTHENTICATED, 'app', { ...LOGINS, logins: [{ ...SHOP, serviceAccount: 'shopper' }] }))).toBe('28000');
  expect(refused(judge({ ...AUTHENTICATED, audiences: [] })), 'an authenticator that knows no audiences').toBe('28P01');
  expect(refused(judge({ ...AUTHENTICATED, username: 'system:serviceaccount:web:other' }))).toBe('28P01');
  expect(refused(judge({ kind: 'unavailable', why: 'down' }))).toBe('57P03');
});

test('a stranger hears the same, whatever is wrong with the token and whoever may log in', () => {
  const stranger: Review = { kind: 'rejected', why: 'the API server: signature' };
  const heard = [
    judge(stranger),
    judge(stranger, 'app', { ...LOGINS, logins: [] }),
    judge({ kind: 'rejected', why: 'the API server: deleted' }),
  ];
  expect(new Set(heard.map((verdict) => JSON.stringify(verdict.kind === 'refused' && verdict.refusal))).size).toBe(1);
  expect(judge(stranger, 'app', LOGINS, 1_900_000)).toMatchObject({ refusal: { detail: 'The token has expired.' } });
});

test('a superuser is let in only where the entry says so, and the writer is wanted from a writer', () => {
  const plain = { isSuperuser: false, inRecovery: false };
  expect(judgeRole(plain, SHOP, true)).toBeUndefined();
  expect(judgeRole({ ...plain, isSuperuser: true }, SHOP, false)).toMatchObject({ refusal: { sqlState: '28000' } });
  expect(judgeRole({ ...plain, isSuperuser: true }, { ...SHOP, allowSuperuser: true }, false)).toBeUndefined();
  expect(judgeRole({ ...plain, inRecovery: true }, SHOP, false)).toBeUndefined();
  expect(judgeRole({ ...plain, inRecovery: true }, SHOP, true)).toMatchObject({ refusal: { sqlState: '57P03' } });
});

test('logins are read whole or not at all', () => {
  expect(readLogins(undefined)).toEqual({ kind: 'read', logins: { audience: '', logins: [] } });
  expect(readLogins(JSON.stringify(LOGINS))).toEqual({ kind: 'read', logins: LOGINS });
  for (const wrong of [
    '',
    '[',
    '[]',
    '{}',
    '{"audience":"a"}',
    JSON.stringify({ ...LOGINS, audience: '' }),
    JSON.stringify({ ...LOGINS, logins: [{ ...SHOP, role: '' }] }),
    JSON.stringify({ ...LOGINS, logins: [SHOP, null] }),
    JSON.stringify({ ...LOGINS, logins: [{ ...SHOP, allowSuperuser: 'yes' }] }),
  ])
    expect(readLogins(wrong), wrong).toMatchObject({ kind: 'malformed' });
});

test.each<[string, number, string, Review['kind']]>([
  ['a yes', 201, JSON.stringify({ status: { authenticated: true, user: { username: SUBJECT }, audiences: [AUDIENCE] } }), 'authenticated'],
  ['a no', 201, JSON.stringify({ status: { user: {}, error: 'expired' } }), 'rejected'],
  ['a yes without a name', 201, JSON.stringify({ status: { authenticated: true } }), 'rejected'],
  ['a yes that is none', 201, JSON.stringify({ status: { authenticated: 'true', user: { username: SUBJECT } } }), 'rejected'],
  ['no right to ask', 403, '{}', 'unavailable'],
  ['an API server in trouble', 500, '', 'unavailable'],
  ['something else', 200, '<html>', 'unavailable'],
  ['no status', 200, '{"status":null}', 'unavailable'],
])('the API server answers %s', (_what, code, body, kind) => {
  expect(readReview({ code, body }).kind).toBe(kind);
});
