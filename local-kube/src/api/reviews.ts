import { isObject, objectAt, stringAt, type Json, type JsonObject, type KubeObject } from '../store/object.ts';
import { instant } from './metadata.ts';
import type { Resource } from './resources.ts';

/** Who asks: whoever has the token, which may do everything. */
const USER = { username: 'local-kube-admin', groups: ['system:masters', 'system:authenticated'] } as const;

/**
 * Answers questions about rights, which are asked by creating an object that is never kept (`kubectl auth
 * can-i|whoami`). Rights are not limited here, for anybody: the answer is always yes, with that as its reason.
 */
export function review(resource: Resource, asked: KubeObject, nowMs: number): JsonObject {
  const metadata: JsonObject = { creationTimestamp: instant(nowMs) };
  const answer = (status: JsonObject): JsonObject => ({ ...asked, metadata, status });
  switch (resource.kind) {
    case 'SelfSubjectReview':
      return answer({ userInfo: { username: USER.username, groups: [...USER.groups] } });
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

/** What is wrong with the question; undefined when nothing is. */
export function reviewProblem(resource: Resource, asked: Json): { field: string; message: string } | undefined {
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
