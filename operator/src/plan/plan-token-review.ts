import { tokenReviewSecretName } from '../api/names.ts';
import { isTerminating } from '../kube/objects.ts';
import type { Observed } from '../observed/observed.ts';
import { reviewRenewalMs } from '../specs/token-review-secret.ts';
import { EMPTY_PLAN, type Plan } from './actions.ts';

/** Clocks are looked at no longer ahead than this. */
const LOOK_MS = 3_600_000;

/**
 * What computes ask the API server with whether a token counts: there, and renewed in time, as long as somebody may log in by one. It is left to
 * run out afterwards.
 */
export function planTokenReview({ cluster, secrets, now }: Observed): Plan {
  if (cluster.spec.postgresql.logins.length === 0) return EMPTY_PLAN;
  const live = secrets.get(tokenReviewSecretName(cluster.metadata.name));
  if (live !== undefined && isTerminating(live)) return EMPTY_PLAN;
  const renewal = live === undefined ? undefined : reviewRenewalMs(live);
  if (renewal !== undefined && renewal > now) return { ...EMPTY_PLAN, againInMs: Math.min(renewal - now, LOOK_MS) };
  const why = live === undefined ? 'it is not there' : renewal === undefined ? 'it holds no token' : 'its token is to be renewed';
  return { ...EMPTY_PLAN, actions: [{ kind: 'issue-review-token', live, why }] };
}
