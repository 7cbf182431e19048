import { arrayAt, isObject, objectAt, stringAt, type Json, type JsonObject, type KubeObject } from '../store/object.ts';
import { instant } from './metadata.ts';
import type { Resource } from './resources.ts';
import type { RequestUser } from './service-account-tokens.ts';

/** Whoever has the kubeconfig's token, which may do everything. */
export const ADMIN: RequestUser = { username: 'local-kube-admin', groups: ['system:masters', 'system:authenticated'] };

/** Whose token this is, for whom of these audiences (none: the API itself); undefined: nobody's. */
export type Authenticate = (
  token: string,
  audiences?: readonly string[],
) => { readonly user: RequestUser; readonly audiences: readonly string[] } | undefined;

/**
 * Answers questions about rights and tokens, which are asked by creating an object that is never kept (`kubectl auth
 * can-i|whoami`). Rights are not limited here, for anybody: the answer is always yes, with that as its reason.
 */
export function review(
  resource: Resource,
  asked: KubeObject,
  nowMs: number,
  { user, authenticate }: { readonly user: RequestUser; readonly authenticate: Authenticate },
): JsonObject {
  const metadata: JsonObject = { creationTimestamp: instant(nowMs) };
  const answer = (status: JsonObject): JsonObject => ({ ...asked, metadata, status });
  switch (resource.kind) {
    case 'SelfSubjectReview':
      return answer({ userInfo: userInfo(user) });
    case 'TokenReview':
      return answer(tokenStatus(asked, authenticate));
    case 'SelfSubjectRulesReview':
      return answer({
        resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }],
        nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }],
        incomplete: false,
      });
    default:
      return answer({ allowed: true, reason: 'local-kube does not limit rights' });
  }
}

function tokenStatus(asked: KubeObject, authenticate: Authenticate): JsonObject {
  const audiences = arrayAt(asked, 'spec', 'audiences').map(String);
  const found = authenticate(stringAt(asked, 'spec', 'token') ?? '', audiences);
  if (found === undefined) return { user: {}, error: 'the token is none of this cluster, is for another audience, or counts no more' };
  return { authenticated: true, user: userInfo(found.user), ...(audiences.length === 0 ? {} : { audiences: [...found.audiences] }) };
}

function userInfo({ username, uid, groups, extra }: RequestUser): JsonObject {
  const more = Object.entries(extra ?? {}).map(([key, values]) => [key, [...values]] as const);
  return {
    username,
    ...(uid === undefined ? {} : { uid }),
    groups: [...groups],
    ...(more.length === 0 ? {} : { extra: Object.fromEntries(more) as JsonObject }),
  };
}

/** What is wrong with the question; undefined when nothing is. */
export function reviewProblem(resource: Resource, asked: Json): { field: string; message: string } | undefined {
  if (resource.kind === 'TokenReview' && (stringAt(asked, 'spec', 'token') ?? '') === '')
    return { field: 'spec.token', message: 'Required value: a token is to be reviewed' };
  if (!resource.kind.endsWith('AccessReview')) return undefined;
  const spec = objectAt(asked, 'spec');
  const [about, path] = [isObject(spec['resourceAttributes']), isObject(spec['nonResourceAttributes'])];
  if (about === path)
    return {
      field: 'spec.resourceAttributes',
      message: 'Invalid value: exactly one of nonResourceAttributes or resourceAttributes must be specified',
    };
  if (resource.kind !== 'SelfSubjectAccessReview' && stringAt(spec, 'user') === undefined && !Array.isArray(spec['groups']))
    return { field: 'spec.user', message: 'Invalid value: at least one of user or group must be specified' };
  return undefined;
}
