import type { IssueContext } from '@kube-aurora/identity/issue';
import { authoritySecret, readAuthoritySecret } from '../certificates/authority-secret.ts';
import { afterStep, firstAuthority, issueFor } from '../certificates/issuing.ts';
import { leafSecret } from '../certificates/leaf-secret.ts';
import { CLUSTERS } from '../api/cluster-resource.ts';
import { authoritySecretName, FINALIZER, LABEL } from '../api/names.ts';
import type { AuroraCluster } from '../api/types.ts';
import { ApiError, isConflict, isNotFound, isTransient } from '@kube-aurora/kube-http';
import type { KubeApi } from '../kube/client.ts';
import type { KubeObject, Secret } from '../kube/objects.ts';
import { RESOURCE, type Resource } from '../kube/resources.ts';
import { clusterNamespace, strayMetadata } from '../specs/metadata.ts';
import { connectionSecret } from '../specs/secrets.ts';
import { REVIEW_TOKEN_SECONDS, tokenReviewSecret } from '../specs/token-review-secret.ts';
import type { Action, Obstacle } from '../plan/actions.ts';
import { foreign } from '../plan/plan-storage-pods.ts';

export type Outcome =
  | { readonly kind: 'done' }
  /** The cache was behind: look again soon. */
  | { readonly kind: 'stale' }
  /** The API server said no, and will say so again until a person changes something. */
  | { readonly kind: 'refused'; readonly obstacle: Obstacle }
  /** The API server was not reached or is overloaded. */
  | { readonly kind: 'failed'; readonly error: ApiError };

export interface PerformContext {
  readonly api: KubeApi;
  readonly cluster: AuroraCluster;
  readonly newPassword: () => string;
  /** What certificates are made with. */
  readonly issuing: () => IssueContext;
  /** Whose tokens computes review those of their clients with; undefined: there is no such ServiceAccount. */
  readonly tokenReviewer: ServiceAccountName | undefined;
}

export interface ServiceAccountName {
  readonly namespace: string;
  readonly name: string;
}

/** What is done through the API server. */
export type WorldAction = Exclude<Action, { readonly kind: 'ask-promotion' }>;

/** Does one action. Throws only what is a bug of ours. */
export async function perform(action: WorldAction, context: PerformContext): Promise<Outcome> {
  try {
    return await act(action, context);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (isConflict(error) || isNotFound(error)) return { kind: 'stale' };
    if (isTransient(error)) return { kind: 'failed', error };
    return {
      kind: 'refused',
      obstacle: { reason: 'RequestRefused', message: `the API server refused: ${error.message}`, blocking: false },
    };
  }
}

async function act(action: WorldAction, context: PerformContext): Promise<Outcome> {
  const { api, cluster } = context;
  if (action.kind === 'apply') {
    if (action.live === undefined) {
      const taken = await existing(context, action.resource, action.object);
      if (taken === 'foreign')
        return {
          kind: 'refused',
          obstacle: { ...foreign(action.object.kind, action.object.metadata.name), blocking: action.blocking ?? true },
        };
    }
    // First what is to be off it: once its mark is new nobody knows of that any more.
    const stray = action.live === undefined ? undefined : strayMetadata(action.live.metadata, action.object.metadata);
    const { namespace, name } = action.object.metadata;
    if (stray !== undefined) await api.merge(action.resource, namespace, name, { metadata: stray });
    await api.apply(action.resource, action.object);
    return { kind: 'done' };
  }
  if (action.kind === 'create-authority' || action.kind === 'step-authority' || action.kind === 'issue-certificate')
    return changeCertificates(action, context);
  if (action.kind === 'issue-review-token') return issueReviewToken(action.live, context);
  if (action.kind === 'create-pod') return make(context, RESOURCE.pods, action.pod);
  if (action.kind === 'create-secret')
    return make(context, RESOURCE.secrets, connectionSecret(cluster, action.credentials, context.newPassword(), action.serverCa));
  if (action.kind === 'mark-pod') {
    const { namespace, name } = action.pod.metadata;
    const { labels, annotations, off } = action;
    await api.merge(RESOURCE.pods, namespace, name, {
      metadata: { labels: { ...off?.labels, ...labels }, annotations: { ...off?.annotations, ...annotations } },
    });
    return { kind: 'done' };
  }
  if (action.kind === 'hold-cluster' || action.kind === 'release-cluster') {
    const { namespace, name, resourceVersion, finalizers = [] } = cluster.metadata;
    const others = finalizers.filter((finalizer) => finalizer !== FINALIZER);
    // The list is replaced whole: with the version it was read at, nobody else's finalizer can be lost.
    await api.merge(CLUSTERS, namespace, name, {
      metadata: { resourceVersion, finalizers: action.kind === 'hold-cluster' ? [...others, FINALIZER] : others },
    });
    return { kind: 'done' };
  }
  if (action.kind === 'remove-annotation') {
    const { namespace, name, resourceVersion, annotations } = cluster.metadata;
    if (annotations?.[action.annotation] !== action.value) return { kind: 'done' };
    // With the version it was read at, no other value that somebody has just written can be lost.
    await api.merge(CLUSTERS, namespace, name, { metadata: { resourceVersion, annotations: { [action.annotation]: null } } });
    return { kind: 'done' };
  }
  if (action.kind === 'delete-service') {
    const { namespace, name, uid } = action.service.metadata;
    await api.remove(RESOURCE.services, namespace, name, { uid });
    return { kind: 'done' };
  }
  if (action.kind === 'delete-claim') {
    const { namespace, name, uid } = action.claim.metadata;
    await api.remove(RESOURCE.volumeClaims, namespace, name, { uid });
    return { kind: 'done' };
  }
  const { namespace, name, uid } = action.pod.metadata;
  await api.remove(RESOURCE.pods, namespace, name, {
    uid,
    ...(action.gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds: action.gracePeriodSeconds }),
  });
  return { kind: 'done' };
}

type CertificateAction = Extract<WorldAction, { readonly kind: 'create-authority' | 'step-authority' | 'issue-certificate' }>;

/** The authority is read where it stands: a cache may be behind a step of a rotation. */
async function changeCertificates(action: CertificateAction, context: PerformContext): Promise<Outcome> {
  const { api, cluster } = context;
  const of = { namespace: clusterNamespace(cluster), cluster: cluster.metadata.name };
  if (action.kind === 'create-authority') {
    const state = await firstAuthority(of, action.given, action.asked, context.issuing());
    return make(context, RESOURCE.secrets, authoritySecret(cluster, state));
  }
  const held = await api.get<Secret>(RESOURCE.secrets, of.namespace, authoritySecretName(of.cluster));
  const state = readAuthoritySecret(held)?.state;
  if (state === undefined) return { kind: 'stale' };
  if (action.kind === 'step-authority') {
    // A step that was decided on something older is decided again.
    if (held.metadata.resourceVersion !== action.live.metadata.resourceVersion) return { kind: 'stale' };
    await api.apply(RESOURCE.secrets, authoritySecret(cluster, await afterStep(state, action.step, of, action.asked, context.issuing())));
    return { kind: 'done' };
  }
  const { role, names, live, mode } = action;
  const { leaf, believed } = await issueFor(state, { ...of, role }, names, context.issuing());
  const secret = leafSecret(cluster, role, leaf, believed, mode);
  if (live === undefined) return make(context, RESOURCE.secrets, secret);
  await api.apply(RESOURCE.secrets, secret);
  return { kind: 'done' };
}

async function issueReviewToken(live: Secret | undefined, context: PerformContext): Promise<Outcome> {
  const { api, cluster, tokenReviewer } = context;
  const refused = (message: string): Outcome => ({
    kind: 'refused',
    obstacle: { reason: 'TokenLoginsUnavailable', message: `nobody can log in by a token: ${message}`, blocking: false },
  });
  if (tokenReviewer === undefined)
    return refused('the operator was installed without a ServiceAccount that may review tokens (tokenLogins.enabled of the chart)');
  const { namespace, name } = tokenReviewer;
  try {
    const access = { ...(await api.requestToken(RESOURCE.serviceAccounts, namespace, name, REVIEW_TOKEN_SECONDS)), ...api.address() };
    const secret = tokenReviewSecret(cluster, access);
    if (live === undefined) return await make(context, RESOURCE.secrets, secret);
    await api.apply(RESOURCE.secrets, secret);
    return { kind: 'done' };
  } catch (error) {
    // Looked for again and again it would not come sooner.
    if (isNotFound(error)) return refused(`ServiceAccount ${namespace}/${name} is not there; upgrade the chart's release`);
    throw error;
  }
}

/** Creates what must not be taken over: a pod's spec and a password are written once. */
async function make(context: PerformContext, resource: Resource<'get' | 'create'>, object: KubeObject): Promise<Outcome> {
  try {
    await context.api.create(resource, object);
    return { kind: 'done' };
  } catch (error) {
    if (!isConflict(error)) throw error;
    const taken = await existing(context, resource, object);
    return taken === 'foreign' ? { kind: 'refused', obstacle: foreign(object.kind, object.metadata.name) } : { kind: 'stale' };
  }
}

/** Objects without our label are in no cache of ours: ask whether the name is taken. */
async function existing(
  { api, cluster }: PerformContext,
  resource: Resource<'get'>,
  object: KubeObject,
): Promise<'none' | 'ours' | 'foreign'> {
  try {
    const found = await api.get(resource, object.metadata.namespace, object.metadata.name);
    return found.metadata.labels?.[LABEL.cluster] === cluster.metadata.name ? 'ours' : 'foreign';
  } catch (error) {
    if (isNotFound(error)) return 'none';
    throw error;
  }
}
