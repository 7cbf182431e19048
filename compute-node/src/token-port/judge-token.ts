/** Whether somebody with a token of a ServiceAccount may log in as a role. Pure; who signed the token, and whether it counts still, the API server says. */
import type { Refusal } from '../postgres/startup-packets.ts';
import type { Login, Logins } from './logins.ts';

/**
 * As Aurora's: a token that leaks opens the database no longer than that. It is the time for which a token was issued: one that was
 * issued for longer is refused however little is left of it, since whoever asks for such will hold one with more.
 */
export const LIFETIME_MAX_S = 15 * 60;

/** What a token says of itself. Nobody has said yet that it is true. */
export interface Claims {
  readonly subject: string;
  readonly audiences: readonly string[];
  readonly issuedAt: number;
  readonly expiresAt: number;
}

/** Refused; `why` is for the log, and says what a stranger is not told. */
export interface Refused {
  readonly kind: 'refused';
  readonly refusal: Refusal;
  readonly why: string;
}

/** What the API server answers. */
export type Review =
  | { readonly kind: 'authenticated'; readonly username: string; readonly audiences: readonly string[] }
  | { readonly kind: 'rejected'; readonly why: string }
  /** It was not asked, or did not answer. */
  | { readonly kind: 'unavailable'; readonly why: string };

/** The claims of a JWT, unchecked; undefined: it is none. */
export function readClaims(token: string): Claims | undefined {
  const parts = token.split('.');
  if (parts.length !== 3 || !parts.every((part) => /^[A-Za-z0-9_-]+$/.test(part))) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(parts[1] ?? '', 'base64url').toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { sub, aud, iat, exp } = value as Partial<Record<string, unknown>>;
  const audiences = Array.isArray(aud) ? (aud as unknown[]) : [aud];
  if (typeof sub !== 'string' || !audiences.every((one) => typeof one === 'string')) return undefined;
  if (typeof iat !== 'number' || typeof exp !== 'number') return undefined;
  return { subject: sub, audiences, issuedAt: iat, expiresAt: exp };
}

/**
 * The first look, before the API server is asked: strangers shall not be able to keep it busy. What a token says of itself its holder may be
 * told; it says nothing about who would be let in.
 */
export function judgeClaims(claims: Claims | undefined, role: string, { audience }: Logins): Refused | undefined {
  const hint = howToGetOne(audience);
  if (claims === undefined)
    return refused(
      role,
      "the password is no token of a ServiceAccount: it is not a JWT with 'sub', 'aud', 'iat' and 'exp'",
      undefined,
      hint,
    );
  if (!claims.audiences.includes(audience))
    return refused(
      role,
      `the token is for ${claims.audiences.join(', ').slice(0, 200)}`,
      `The token is not for the audience '${audience}'.`,
      hint,
    );
  const lifetime = claims.expiresAt - claims.issuedAt;
  if (lifetime > LIFETIME_MAX_S)
    return refused(
      role,
      `the token was issued for ${lifetime} s`,
      `The token was issued for ${Math.ceil(lifetime)} seconds, and at most ${LIFETIME_MAX_S} are allowed.`,
      hint,
    );
  return undefined;
}

/** What follows from the API server's answer. */
export function judgeReview(
  review: Review,
  { role, claims, nowMs, logins }: { readonly role: string; readonly claims: Claims; readonly nowMs: number; readonly logins: Logins },
): { readonly kind: 'admitted'; readonly login: Login } | Refused {
  const hint = howToGetOne(logins.audience);
  if (review.kind === 'unavailable')
    return {
      kind: 'refused',
      refusal: { sqlState: '57P03', message: 'tokens cannot be checked now', hint: 'Try again in a moment; logins with a password go on.' },
      why: review.why,
    };
  // Told or not, it makes no difference to who is let in.
  const isOver = claims.expiresAt * 1000 <= nowMs;
  if (review.kind === 'rejected') return refused(role, review.why, isOver ? 'The token has expired.' : undefined, hint);
  // An authenticator that knows no audiences answers without ours: what it accepts may be for somebody else.
  if (!review.audiences.includes(logins.audience))
    return refused(role, `the API server accepts it for ${review.audiences.join(', ')}, and not for '${logins.audience}'`, undefined, hint);
  if (review.username !== claims.subject)
    return refused(role, `the API server says that it is of ${review.username}, and it says of itself ${claims.subject}`, undefined, hint);
  const login = logins.logins.find((one) => one.role === role && usernameOf(one) === review.username);
  if (login !== undefined) return { kind: 'admitted', login };
  return {
    kind: 'refused',
    refusal: {
      sqlState: '28000',
      message: `${review.username} may not log in as role "${role}"`,
      hint: 'spec.postgresql.logins of the AuroraCluster names who may.',
    },
    why: `no entry of spec.postgresql.logins lets ${review.username} be ${role}`,
  };
}

const usernameOf = ({ namespace, serviceAccount }: Login): string => `system:serviceaccount:${namespace}:${serviceAccount}`;

function refused(role: string, why: string, detail: string | undefined, hint: string): Refused {
  return { kind: 'refused', refusal: { sqlState: '28P01', message: `token authentication failed for user "${role}"`, detail, hint }, why };
}

function howToGetOne(audience: string): string {
  return `Give a token of a ServiceAccount as the password: kubectl create token NAME --audience '${audience}' --duration 15m, or a projected volume with expirationSeconds: ${LIFETIME_MAX_S}.`;
}

/** Of a role that may be logged in as, what PostgreSQL says of it, and of itself. */
export interface RoleFacts {
  readonly isSuperuser: boolean;
  /** This PostgreSQL is a reader. */
  readonly inRecovery: boolean;
}

/** The last look: undefined lets them in. */
export function judgeRole({ isSuperuser, inRecovery }: RoleFacts, login: Login, wantsWriter: boolean): Refused | undefined {
  if (isSuperuser && !login.allowSuperuser)
    return {
      kind: 'refused',
      refusal: {
        sqlState: '28000',
        message: `role "${login.role}" is a superuser, and tokens do not open those`,
        hint: 'Where that is meant, say allowSuperuser: true in the entry of spec.postgresql.logins.',
      },
      why: `${login.role} is a superuser, and its entry has no allowSuperuser`,
    };
  if (inRecovery && wantsWriter)
    return {
      kind: 'refused',
      refusal: {
        sqlState: '57P03',
        message: 'this server is a reader, and not the writer',
        detail: 'The address that leads to the writer has led here.',
        hint: 'Connect again in a moment.',
      },
      why: 'this is a reader, and the client came by the port for the writer',
    };
  return undefined;
}
