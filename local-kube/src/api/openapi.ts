import { builtinDefinition } from '../schema/builtin-types.ts';
import type { OpenSchema } from '../schema/open-schema.ts';
import { isObject, type Json, type JsonObject } from '../store/object.ts';
import { apiVersionOf, type Resource } from './resources.ts';

/**
 * /openapi/v3: one document a group version; kubectl reads them for explain, patches and to learn that the server
 * validates fields.
 */
export function openApiIndex(resources: readonly Resource[], revision: number): JsonObject {
  const paths: JsonObject = {};
  for (const resource of resources) {
    const path = resource.group === '' ? `api/${resource.version}` : `apis/${apiVersionOf(resource)}`;
    paths[path] = { serverRelativeURL: `/openapi/v3/${path}?hash=${revision}` };
  }
  return { paths };
}

export function openApiDocument(resources: readonly Resource[], group: string, version: string): JsonObject | undefined {
  const listed = resources.filter((resource) => resource.group === group && resource.version === version);
  if (listed.length === 0) return undefined;
  const schemas: JsonObject = {};
  const paths: JsonObject = {};
  for (const resource of listed) {
    const kind: JsonObject = { group, version, kind: resource.kind };
    const name = resource.custom
      ? `${group.split('.').toReversed().join('.')}.${version}.${resource.kind}`
      : definitionName(resource.schema?.definition ?? resource.kind);
    if (resource.schema !== undefined) {
      const top = serialised(resource.schema, schemas, true);
      schemas[name] = { ...(isObject(top) ? top : {}), 'x-kubernetes-group-version-kind': [kind] };
    }
    const prefix = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
    const collection = `${prefix}${resource.namespaced ? '/namespaces/{namespace}' : ''}/${resource.plural}`;
    const reference: JsonObject = {
      '200': { description: 'OK', content: { 'application/json': { schema: { $ref: `#/components/schemas/${name}` } } } },
    };
    const operation = (action: string, parameters: string[]): JsonObject => ({
      'x-kubernetes-action': action,
      'x-kubernetes-group-version-kind': kind,
      parameters: parameters.map((parameter) => ({ name: parameter, in: 'query', schema: { type: 'string', uniqueItems: true } })),
      responses: reference,
    });
    const writing = ['dryRun', 'fieldManager', 'fieldValidation'];
    paths[collection] = { get: operation('list', ['labelSelector', 'fieldSelector', 'watch']), post: operation('post', writing) };
    paths[`${collection}/{name}`] = {
      get: operation('get', []),
      put: operation('put', writing),
      patch: operation('patch', [...writing, 'force']),
      delete: operation('delete', ['dryRun', 'gracePeriodSeconds', 'propagationPolicy']),
    };
  }
  return { openapi: '3.0.0', info: { title: 'local-kube', version: 'v1.32.0' }, paths, components: { schemas } };
}

/** `V1Pod` → `io.k8s.api.core.v1.Pod`: kubectl shows what follows the last dot. */
function definitionName(model: string): string {
  return `io.k8s.api.core.v1.${model.replace(/^(?:Core|Events)?V1/, '')}`;
}

/** A schema as JSON; named definitions become references and are added to `schemas` once. */
function serialised(schema: OpenSchema, schemas: JsonObject, top = false): Json {
  const { definition } = schema;
  if (definition !== undefined && !top) {
    const name = definitionName(definition);
    if (schemas[name] === undefined) {
      schemas[name] = {};
      schemas[name] = serialised(schema, schemas, true);
    }
    const own = builtinDefinition(definition).description;
    const description = schema.description === own ? undefined : schema.description;
    const mapType = schema['x-kubernetes-map-type'];
    return {
      allOf: [{ $ref: `#/components/schemas/${name}` }],
      default: {},
      ...(description === undefined ? {} : { description }),
      ...(mapType === undefined ? {} : { 'x-kubernetes-map-type': mapType }),
    };
  }
  const written: JsonObject = {};
  for (const [key, value] of Object.entries(schema) as [string, Json | undefined][]) {
    if (value === undefined || key === 'definition') continue;
    if (key === 'properties') {
      written[key] = Object.fromEntries(Object.entries(schema.properties ?? {}).map(([field, one]) => [field, serialised(one, schemas)]));
    } else if (key === 'items' && schema.items !== undefined) written[key] = serialised(schema.items, schemas);
    else if (key === 'additionalProperties' && typeof schema.additionalProperties === 'object')
      written[key] = serialised(schema.additionalProperties, schemas);
    else written[key] = value;
  }
  return written;
}
