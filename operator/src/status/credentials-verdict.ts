import type { CredentialStatus } from '../api/status-types.ts';
import { computeState, freshAgent, type Observed } from '../observed/observed.ts';
import { writerOf } from '../plan/plan-instances.ts';
import { appCredentials, secretPassword, superuserCredentials, type Credentials } from '../specs/secrets.ts';

/** How each role's password stands: in its Secret, and in the database. */
export function credentialStatuses(observed: Observed): readonly CredentialStatus[] {
  return [superuserCredentials(observed.cluster), appCredentials(observed.cluster)].map((credentials) => statusOf(observed, credentials));
}

function statusOf(observed: Observed, { username, secretName }: Credentials): CredentialStatus {
  const secret = observed.secrets.get(secretName);
  const { pod } = writerOf(observed);
  const told = freshAgent(observed, pod)?.passwords?.find(({ role }) => role === username);
  const before = observed.cluster.status?.credentials?.find(({ role }) => role === username);
  const changedAt = told?.changedAt ?? before?.passwordChangedAt;
  const state: CredentialStatus['state'] =
    secret === undefined
      ? 'Missing'
      : secretPassword(secret) === undefined
        ? 'Empty'
        : told?.state === 'failed'
          ? 'Failed'
          : told?.state === 'applied' && computeState(observed, pod) === 'available'
            ? 'Applied'
            : 'Pending';
  return {
    role: username,
    secret: secretName,
    state,
    ...(changedAt === undefined ? {} : { passwordChangedAt: changedAt }),
    ...(state === 'Failed' && told !== undefined && told.message !== '' ? { message: told.message } : {}),
  };
}

/** What is to be done about passwords that are not in force; undefined when there is nothing. */
export function credentialTrouble(statuses: readonly CredentialStatus[]): string | undefined {
  const troubles = statuses.flatMap(({ role, secret, state, message }) => {
    if (state === 'Missing') return [`Secret ${secret} does not exist: role ${role} keeps the password it has; make the Secret again`];
    if (state === 'Empty') return [`Secret ${secret} has no password: role ${role} keeps the one it has; set its key 'password'`];
    if (state === 'Failed')
      return [`the password of role ${role} could not be set, and is tried again: ${message ?? 'no reason was given'}`];
    return [];
  });
  return troubles.length === 0 ? undefined : troubles.join('; ');
}
