/** Every session of the agent's own has a name that begins so, and the superuser's role. */
export const OWN_SESSIONS = 'kube-aurora';

/**
 * In SQL, of a row of pg_stat_activity or of the function below it: a session of a client's. The agent's own come by a Unix socket, and so do those
 * of clients that it has let in itself (token-port): they have no address either, and another name, or another role.
 */
export const IS_CLIENT_SESSION = `backend_type = 'client backend'
  and (client_addr is not null or usesysid <> 10 or application_name not like '${OWN_SESSIONS}%')`;
