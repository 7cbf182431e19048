import { API_GROUP_VERSION, CLUSTER_KIND } from '../../operator/src/api/types.ts';
import { isObject, ValuesReader } from './values-reader.ts';

/** What values of the chart bitnami/postgresql come to here. */
export interface Translation {
  readonly manifest: object;
  /** What is to be done by hand, or is otherwise than it was. */
  readonly notes: readonly string[];
  /** Paths of values that have no counterpart. */
  readonly left: readonly string[];
}

type Fields = Readonly<Record<string, unknown>>;

/** Without what is undefined, and without objects that are empty then. */
function present(fields: Fields): Fields | undefined {
  const kept = Object.entries(fields).filter(([, value]) => value !== undefined);
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
}

/** `key = value` lines of a postgresql.conf. */
function parameters(text: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    text.split('\n').flatMap((line) => {
      const [, name, quoted, bare] = /^\s*([A-Za-z_.]+)\s*(?:=|\s)\s*(?:'((?:[^']|'')*)'|([^\s#]+))/.exec(line) ?? [];
      return name === undefined ? [] : [[name, quoted?.replaceAll("''", "'") ?? bare ?? '']];
    }),
  );
}

/** Values of bitnami/postgresql (as of version 16) as an AuroraCluster. Passwords are never copied: they belong into Secrets. */
export function fromBitnami(values: unknown, release: string): Translation {
  const reader = new ValuesReader(values);
  const notes: string[] = [];
  const name = reader.text('fullnameOverride') ?? release;
  const replicas = reader.text('architecture') === 'replication' ? Number(reader.text('readReplicas.replicaCount') ?? 1) : 0;
  /** The global value goes before the chart's own. */
  const auth = (field: string): string | undefined => {
    const own = reader.text(`auth.${field}`);
    return reader.text(`global.postgresql.auth.${field}`) ?? own;
  };
  const database = auth('database');
  const owner = auth('username');
  const isAdmin = owner === 'postgres';
  if (isAdmin)
    notes.push(
      "auth.username is postgres, which is PostgreSQL's own here: the application's role is app, unless you name another in spec.bootstrap.initdb.owner",
    );
  if (['password', 'postgresPassword'].map(auth).some((password) => password !== undefined))
    notes.push(
      `passwords are not copied: the operator makes new ones in the Secrets ${name}-app and ${name}-superuser; to keep yours make Secrets of type kubernetes.io/basic-auth (username, password), and name them in spec.bootstrap.initdb.secret and spec.superuserSecret`,
    );
  const existing = auth('existingSecret');
  if (existing !== undefined)
    notes.push(
      `auth.existingSecret ${existing} has the keys password and postgres-password: make a Secret of type kubernetes.io/basic-auth (username, password) of each, and name them in spec.bootstrap.initdb.secret and spec.superuserSecret`,
    );
  for (const path of ['primary.resourcesPreset', 'readReplicas.resourcesPreset'])
    if (reader.text(path) !== undefined) notes.push(`${path}: write the numbers into spec.compute.resources`);
  const size = reader.text('primary.persistence.size');
  notes.push('spec.storage.size is of each of six copies, two in each of three zones; name yours in spec.storage.zones');
  const scripts = reader.get('primary.initdb.scripts');
  const sql = isObject(scripts) ? Object.entries(scripts).filter(([file]) => file.endsWith('.sql')) : [];
  if (isObject(scripts) && sql.length < Object.keys(scripts).length)
    notes.push('primary.initdb.scripts: only those that end with .sql are run here; do by hand what the others do');
  const configuration = ['primary.configuration', 'primary.extendedConfiguration'].map((path) => parameters(reader.text(path) ?? ''));
  const settings: Record<string, string> = Object.assign({}, ...configuration);
  const pullSecrets = reader.get('global.imagePullSecrets') ?? reader.get('image.pullSecrets');
  const service = (of: string): Fields | undefined => {
    const type = reader.text(`${of}.service.type`);
    if (type === 'NodePort') notes.push(`${of}.service.type NodePort is not offered: use LoadBalancer, or a Service of your own`);
    return present({ type: type === 'LoadBalancer' ? type : undefined, annotations: reader.get(`${of}.service.annotations`) });
  };
  if (reader.text('metrics.enabled') === 'true')
    notes.push("metrics.enabled: every pod has /metrics; the operator's chart makes PodMonitors (monitoring.podMonitors.enabled)");
  notes.push(
    `clients connect to ${name}-rw (to read: ${name}-ro) in the place of the chart's Services; bring the data by pg_dump and pg_restore`,
  );
  const compute = present({
    resources: reader.get('primary.resources'),
    nodeSelector: reader.get('primary.nodeSelector'),
    tolerations: reader.get('primary.tolerations'),
    affinity: reader.get('primary.affinity'),
    topologySpreadConstraints: reader.get('primary.topologySpreadConstraints'),
    priorityClassName: reader.text('primary.priorityClassName'),
  });
  const initdb = present({
    database,
    owner: isAdmin ? undefined : owner,
    postInitApplicationSQL: sql.length === 0 ? undefined : sql.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, text]) => String(text)),
  });
  const spec = present({
    instances: replicas === 0 ? undefined : replicas + 1,
    storage: present({
      size: size ?? '8Gi',
      storageClassName:
        reader.text('primary.persistence.storageClass') ?? reader.text('global.storageClass') ?? reader.text('global.defaultStorageClass'),
    }),
    compute,
    bootstrap: initdb === undefined ? undefined : { initdb },
    postgresql: Object.keys(settings).length === 0 ? undefined : { parameters: settings },
    imagePullSecrets: Array.isArray(pullSecrets)
      ? pullSecrets.map((one: unknown) => (isObject(one) ? { name: one['name'] } : { name: one }))
      : undefined,
    inheritedMetadata: present({ labels: reader.get('commonLabels'), annotations: reader.get('commonAnnotations') }),
    services: present({ readWrite: service('primary'), readOnly: service('readReplicas') }),
  });
  return { manifest: { apiVersion: API_GROUP_VERSION, kind: CLUSTER_KIND, metadata: { name }, spec }, notes, left: reader.unread() };
}
