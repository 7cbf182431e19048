import { Ajv, type ErrorObject } from 'ajv';
import type { Schema } from '../api/open-api.ts';
import { clusterSchema } from '../api/schema.ts';

/**
 * Checks manifests as an API server with strict field validation does: the schema, and no field that it does not
 * know. For tests of the schema's content.
 */
function strict(schema: Schema): object {
  const {
    properties,
    additionalProperties,
    items,
    'x-kubernetes-int-or-string': _intOrString,
    'x-kubernetes-list-type': listType,
    'x-kubernetes-list-map-keys': _keys,
    format: _format,
    ...rest
  } = schema;
  return {
    ...rest,
    ...(listType === 'set' ? { uniqueItems: true } : {}),
    ...(items === undefined ? {} : { items: strict(items) }),
    ...(properties === undefined
      ? {}
      : {
          properties: Object.fromEntries(Object.entries(properties).map(([key, value]) => [key, strict(value)])),
          additionalProperties: false,
        }),
    ...(additionalProperties === undefined ? {} : { additionalProperties: strict(additionalProperties) }),
  };
}

const metadata = {
  type: 'object',
  properties: { name: clusterSchema.properties?.['metadata']?.properties?.['name'], namespace: { type: 'string' } },
};
const ajv = new Ajv({ allErrors: true, useDefaults: true, strict: false });
const check = ajv.compile({
  ...strict(clusterSchema),
  properties: {
    ...Object.fromEntries(Object.entries(clusterSchema.properties ?? {}).map(([key, value]) => [key, strict(value)])),
    metadata,
  },
});

function describe(error: ErrorObject): string {
  const field = error.instancePath.slice(1).replaceAll('/', '.');
  const unknown: unknown = error.params['additionalProperty'] ?? error.params['missingProperty'];
  return `${[field, typeof unknown === 'string' ? unknown : ''].filter((part) => part !== '').join('.')}: ${error.keyword}`;
}

/** What is wrong, one line a problem (`field: rule`); empty when the manifest is good. Fills in defaults in place. */
export function checkManifest(manifest: unknown): readonly string[] {
  return check(manifest) ? [] : (check.errors ?? []).map(describe);
}
