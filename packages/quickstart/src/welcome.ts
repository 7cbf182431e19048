import type { ClusterConnection } from './cluster-connection.ts';

export interface WelcomeFiles {
  readonly kubeconfig: string;
  /** By which a client knows the server; undefined: it speaks no TLS. */
  readonly serverCa: string | undefined;
  /** Where the page to look at is. */
  readonly consoleUrl: string;
}

/** What a person reads when everything is up: how to connect, and what to try. Works without psql and kubectl. */
export function welcome(cluster: string, connection: ClusterConnection, { kubeconfig, serverCa, consoleUrl }: WelcomeFiles): string {
  const { user, password, host, port, database } = connection;
  const verified = serverCa === undefined ? '' : `?sslmode=verify-full&sslrootcert=${encodedPath(serverCa)}`;
  return `
Connect
  npm run psql                                    a prompt; -- -c 'SELECT 1' for one statement
  npm run psql -- --endpoint ro                   the same on a reader
  psql 'postgresql://${user}:${password}@${host}:${port}/${database}${verified}'

Look around
  ${consoleUrl}                          the console: a page that shows all of it as it goes (docs/console.md)
  npm run kubectl -- aurora status                how it is: copies, instances, endpoints, what to do
  npm run kubectl -- get auroracluster,pods,services
  export KUBECONFIG=${quoted(kubeconfig)}     for your own kubectl

Things to try (leave a psql open and go on typing)
  1. Kill the writer, and commit again a moment later:
       npm run kubectl -- delete pod ${cluster}-1 --grace-period=0 --force
  2. Fail a whole zone; reads and writes go on (a writer in it moves, in seconds). Then bring it back:
       npm run zone -- fail zone-a
       npm run zone -- restore zone-a
  3. Add a reader; it shows what the writer commits a moment later:
       npm run kubectl -- scale auroracluster ${cluster} --replicas=3
  4. Watch it heal:
       npm run kubectl -- get pods --watch
       npm run kubectl -- describe auroracluster ${cluster}

Ctrl-C stops everything and keeps the data.
`;
}

/** As a part of a URI that stands in single quotes. */
function encodedPath(file: string): string {
  return file.split('/').map(encodeURIComponent).join('/').replaceAll("'", '%27');
}

/** As a shell takes it for one word. */
function quoted(text: string): string {
  return /^[\w./+@=-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
