import { LOCALE_FIELDS } from '../api/bootstrap-schema.ts';
import type { AuroraCluster, SqlReferences } from '../api/types.ts';
import type { PodVolume } from '../kube/objects.ts';
import { canonicalJson } from './metadata.ts';

const PLACES = ['postInitSQL', 'postInitTemplateSQL', 'postInitApplicationSQL'] as const;

interface SqlFile {
  /** Secret or ConfigMap, for people. */
  readonly from: string;
  /** Path below the volume. */
  readonly file: string;
  readonly source: NonNullable<NonNullable<PodVolume['projected']>['sources'][number]>;
}

/** Secrets first, then ConfigMaps, each in the manifest's order. */
function sqlFiles(place: string, references: SqlReferences | undefined): readonly SqlFile[] {
  const secrets = (references?.secretRefs ?? []).map(({ name, key }) => ({ kind: 'secret' as const, name, key }));
  const maps = (references?.configMapRefs ?? []).map(({ name, key }) => ({ kind: 'configMap' as const, name, key }));
  return [...secrets, ...maps].map(({ kind, name, key }, index) => {
    const file = `${place}/${index}.sql`;
    // Optional: the agent says which one is not there, where a kubelet would only keep the pod waiting.
    const projection = { name, items: [{ key, path: file }], optional: true };
    return {
      from: `key ${key} of ${kind === 'secret' ? 'Secret' : 'ConfigMap'} ${name}`,
      file,
      source: kind === 'secret' ? { secret: projection } : { configMap: projection },
    };
  });
}

/** What the compute agent reads when it makes the first database (its postgres/initdb-options.ts). */
export function initdbOptions(cluster: AuroraCluster): string {
  const { initdb } = cluster.spec.bootstrap;
  const fields: Record<string, unknown> = {};
  for (const field of LOCALE_FIELDS) if (initdb[field] !== undefined) fields[field] = initdb[field];
  for (const place of PLACES) {
    if (initdb[place] !== undefined) fields[place] = initdb[place];
    const files = sqlFiles(place, initdb[`${place}Refs`]);
    if (files.length > 0) fields[`${place}Refs`] = files.map(({ from, file }) => ({ from, file }));
  }
  return canonicalJson(fields);
}

/** The volume with the SQL that the manifest refers to; undefined when it refers to none. */
export function initSqlVolume(cluster: AuroraCluster): PodVolume | undefined {
  const { initdb } = cluster.spec.bootstrap;
  const sources = PLACES.flatMap((place) => sqlFiles(place, initdb[`${place}Refs`])).map(({ source }) => source);
  return sources.length === 0 ? undefined : { name: 'init-sql', projected: { sources, defaultMode: 0o440 } };
}
