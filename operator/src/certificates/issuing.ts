import { authoritiesOf, rotated, type Authority, type AuthorityState, type Identity, type RotationStep } from '@kube-aurora/identity';
import { issueAuthority, issueLeaf, type IssueContext, type IssuedCertificate } from '@kube-aurora/identity/issue';
import type { LeafNames } from './leaf-secret.ts';

const DAY_MS = 86_400_000;
/** Clocks of nodes differ by less. */
export const SKEW_MS = 5 * 60_000;
const AUTHORITY_LIFETIME = { lifetimeMs: 3 * 365 * DAY_MS, skewMs: SKEW_MS };
const LEAF_LIFETIME = { lifetimeMs: 90 * DAY_MS, skewMs: SKEW_MS };

/** The first authority of a cluster: one that was given, or a new one. */
export async function firstAuthority(
  { namespace, cluster }: Pick<Identity, 'namespace' | 'cluster'>,
  given: Authority | undefined,
  asked: string | undefined,
  context: IssueContext,
): Promise<AuthorityState> {
  const issuing = given ?? (await newAuthority({ namespace, cluster }, context));
  return { issuing, steppedAt: context.now, ...(asked === undefined ? {} : { asked }) };
}

function newAuthority({ namespace, cluster }: Pick<Identity, 'namespace' | 'cluster'>, context: IssueContext): Promise<Authority> {
  return issueAuthority(`kube-aurora ${namespace}/${cluster}`.slice(0, 64), AUTHORITY_LIFETIME, context);
}

/** The authorities after a step. */
export async function afterStep(
  state: AuthorityState,
  step: Exclude<RotationStep, { readonly kind: 'none' | 'wait' }>,
  of: Pick<Identity, 'namespace' | 'cluster'>,
  asked: string | undefined,
  context: IssueContext,
): Promise<AuthorityState> {
  const made = step.kind === 'announce' && step.authority === undefined ? await newAuthority(of, context) : undefined;
  return rotated(state, step, { now: context.now, asked, made });
}

/** A certificate by the authority that issues, and all that are believed. */
export async function issueFor(
  state: AuthorityState,
  identity: Identity,
  names: LeafNames,
  context: IssueContext,
): Promise<{ readonly leaf: IssuedCertificate; readonly believed: ReturnType<typeof authoritiesOf> }> {
  const leaf = await issueLeaf(state.issuing, { ...LEAF_LIFETIME, ...names, identity }, context);
  return { leaf, believed: authoritiesOf(state) };
}
