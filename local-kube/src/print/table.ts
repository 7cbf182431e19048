import type { Json, JsonObject, KubeObject } from '../store/object.ts';
import type { Printer } from './column.ts';

/** What a row carries of its object: kubectl asks for None, Metadata (default) or Object. */
export type IncludeObject = 'None' | 'Metadata' | 'Object';

export function partialMetadata(object: KubeObject): JsonObject {
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata };
}

/**
 * meta.k8s.io/v1 Table: what `kubectl get` prints.
 * https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
 */
export function table(
  objects: readonly KubeObject[],
  printer: Printer,
  listMeta: JsonObject,
  include: IncludeObject,
  nowMs: number,
  headed = true,
): JsonObject {
  const columns: Json[] = printer.columns.map((column) => ({
    name: column.name,
    type: column.type,
    format: column.format ?? '',
    description: column.description ?? '',
    priority: column.priority,
  }));
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata: listMeta,
    columnDefinitions: headed ? columns : [],
    rows: objects.map((object) => ({
      cells: printer.cells(object, nowMs),
      ...(include === 'None' ? {} : { object: include === 'Object' ? object : partialMetadata(object) }),
    })),
  };
}
