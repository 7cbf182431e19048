import type { Json } from '../store/object.ts';

/**
 * The part of OpenAPI v3 that Kubernetes schemas use. Definitions of built-in kinds are graphs of shared objects (a
 * schema may contain itself), named by `definition`.
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
 */
export interface OpenSchema {
  /** Name of the built-in definition, for $ref in the OpenAPI document; absent in CRDs. */
  definition?: string;
  type?: string;
  format?: string;
  description?: string;
  title?: string;
  default?: Json;
  nullable?: boolean;
  properties?: { [key: string]: OpenSchema };
  additionalProperties?: OpenSchema | boolean;
  required?: string[];
  items?: OpenSchema;
  enum?: Json[];
  pattern?: string;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: boolean;
  exclusiveMaximum?: boolean;
  multipleOf?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  uniqueItems?: boolean;
  minProperties?: number;
  maxProperties?: number;
  allOf?: OpenSchema[];
  anyOf?: OpenSchema[];
  oneOf?: OpenSchema[];
  not?: OpenSchema;
  'x-kubernetes-preserve-unknown-fields'?: boolean;
  'x-kubernetes-int-or-string'?: boolean;
  'x-kubernetes-embedded-resource'?: boolean;
  'x-kubernetes-list-type'?: string;
  'x-kubernetes-list-map-keys'?: string[];
  'x-kubernetes-map-type'?: string;
  'x-kubernetes-patch-merge-key'?: string;
  'x-kubernetes-patch-strategy'?: string;
  'x-kubernetes-validations'?: { rule: string; message?: string; messageExpression?: string; reason?: string; fieldPath?: string }[];
}

/** The schema of an object's field; undefined when the schema says nothing of it. */
export function propertySchema(schema: OpenSchema | undefined, key: string): OpenSchema | undefined {
  const own = schema?.properties?.[key];
  if (own !== undefined) return own;
  return typeof schema?.additionalProperties === 'object' ? schema.additionalProperties : undefined;
}

/** May the object carry fields that its schema does not name? */
export function allowsUnknown(schema: OpenSchema): boolean {
  if (schema['x-kubernetes-preserve-unknown-fields'] === true || schema['x-kubernetes-embedded-resource'] === true) return true;
  if (schema.additionalProperties !== undefined) return schema.additionalProperties !== false;
  return schema.properties === undefined && schema.definition === undefined;
}
