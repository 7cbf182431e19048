import { loginAudience } from '../api/logins.ts';
import { PORT, readWriteServiceName } from '../api/names.ts';
import type { TokenLoginsStatus } from '../api/status-types.ts';
import type { Observed } from '../observed/observed.ts';
import { isSilent } from '../observed/reports.ts';
import type { Plan } from '../plan/actions.ts';
import { clusterNamespace } from '../specs/metadata.ts';
import { bad, good, type Verdict } from './verdict.ts';

/** Where tokens are passwords; undefined where nobody may log in by one. */
export function tokenLoginsStatus({ cluster }: Observed): TokenLoginsStatus | undefined {
  if (cluster.spec.postgresql.logins.length === 0) return undefined;
  return {
    endpoint: `${readWriteServiceName(cluster.metadata.name)}.${clusterNamespace(cluster)}.svc:${PORT.token}`,
    audience: loginAudience(cluster),
  };
}

/** Does every instance that runs take tokens? Undefined where nobody may log in by one. */
export function tokenLoginsVerdict(observed: Observed, { obstacles }: Plan): Verdict | undefined {
  const status = tokenLoginsStatus(observed);
  if (status === undefined) return undefined;
  const refused = obstacles.find(({ reason }) => reason === 'TokenLoginsUnavailable');
  if (refused !== undefined) return bad('TokenLoginsUnavailable', refused.message);
  // Until PostgreSQL runs there is nothing to log in to, and no certificate to show.
  const answering = [...observed.agents].filter(([, report]) => !isSilent(report) && report.phase === 'running');
  const troubles: string[] = [];
  const waiting: string[] = [];
  for (const [pod, { tokenPort }] of answering) {
    if (tokenPort === undefined) waiting.push(`${pod} runs a release that takes no tokens, or does not say so; it is to be replaced`);
    else if (tokenPort.state === 'failed') troubles.push(`${pod} cannot open port ${PORT.token}: ${tokenPort.message}`);
    else if (tokenPort.message !== '') troubles.push(`${pod}: ${tokenPort.message}`);
    else if (tokenPort.state !== 'listening') waiting.push(`${pod} does not listen at port ${PORT.token} yet`);
  }
  if (troubles.length > 0)
    return bad('TokenLoginsUnavailable', `${troubles.join('; ')} (the pod's log says more: kubectl aurora logs --instance NAME)`);
  if (waiting.length > 0) return bad('TokenLoginsStarting', waiting.join('; '));
  if (answering.length === 0) return bad('TokenLoginsStarting', 'no instance that runs has said that it takes tokens');
  return good(
    `port ${PORT.token} of every Service takes tokens for the audience ${status.audience} that were issued for at most 15 minutes: kubectl aurora psql --token`,
  );
}
