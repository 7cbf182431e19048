/**
 * Which ServiceAccounts may log in as which roles, as the operator delivers it: logins.json of the settings directory.
 *
 *   { "audience": "kube-aurora/default/demo",
 *     "logins": [{ "namespace": "default", "serviceAccount": "shop", "role": "app", "allowSuperuser": false }] }
 */

export interface Login {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly role: string;
  /** A role that is a superuser is let in only so. */
  readonly allowSuperuser: boolean;
}

export interface Logins {
  /** Of the tokens that are taken. */
  readonly audience: string;
  readonly logins: readonly Login[];
}

export type ReadLogins = { readonly kind: 'read'; readonly logins: Logins } | { readonly kind: 'malformed'; readonly why: string };

const NONE: Logins = { audience: '', logins: [] };

/** Undefined: the file is not there, and nobody logs in by a token. What is half right is wrong: nobody is let in by it. */
export function readLogins(text: string | undefined): ReadLogins {
  if (text === undefined) return { kind: 'read', logins: NONE };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { kind: 'malformed', why: `logins.json is not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
  const { audience, logins } = (typeof value === 'object' && value !== null ? value : {}) as Partial<Record<keyof Logins, unknown>>;
  if (typeof audience !== 'string' || audience === '') return { kind: 'malformed', why: "logins.json has no 'audience'" };
  if (!Array.isArray(logins)) return { kind: 'malformed', why: "logins.json has no list 'logins'" };
  const wrong = logins.findIndex((login) => !isLogin(login));
  if (wrong !== -1)
    return {
      kind: 'malformed',
      why: `logins[${wrong}] of logins.json needs 'namespace', 'serviceAccount' and 'role' as texts, and 'allowSuperuser'`,
    };
  return { kind: 'read', logins: { audience, logins: logins as readonly Login[] } };
}

function isLogin(value: unknown): value is Login {
  if (typeof value !== 'object' || value === null) return false;
  const { namespace, serviceAccount, role, allowSuperuser } = value as Partial<Record<keyof Login, unknown>>;
  return [namespace, serviceAccount, role].every((text) => typeof text === 'string' && text !== '') && typeof allowSuperuser === 'boolean';
}
