import { describe, expect, it } from 'vitest';
import type { Json } from '../store/object.ts';
import { builtinDefinition } from './builtin-types.ts';
import type { OpenSchema } from './open-schema.ts';
import { applyDefaults, pruneUnknown, validate } from './validate.ts';

const SCHEMA: OpenSchema = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: {
      type: 'object',
      required: ['size'],
      properties: {
        size: { type: 'string', pattern: '^[0-9]+Gi$' },
        replicas: { type: 'integer', minimum: 1, maximum: 15, default: 1 },
        mode: { type: 'string', enum: ['a', 'b'], default: 'a' },
        free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
        parts: {
          type: 'array',
          maxItems: 2,
          items: { type: 'object', properties: { name: { type: 'string' }, n: { type: 'integer', default: 7 } } },
        },
      },
    },
  },
};
const told = (value: Json): string[] => validate(value, SCHEMA).map((cause) => `${cause.field}: ${cause.message}`);

describe('validation', () => {
  it('names the field and says what was expected, as the API server does', () => {
    expect(told({ spec: { size: '1Gi', replicas: 16, mode: 'z', parts: [{ name: 3 }] } })).toEqual([
      'spec.replicas: Invalid value: 16: spec.replicas in body should be less than or equal to 15',
      'spec.mode: Unsupported value: "z": supported values: "a", "b"',
      'spec.parts[0].name: Invalid value: "integer": spec.parts[0].name in body must be of type string: "integer"',
    ]);
    expect(told({})).toEqual(['spec: Required value']);
    expect(told({ spec: { size: '1 GB', parts: [{}, {}, {}] } })).toEqual([
      `spec.size: Invalid value: "1 GB": spec.size in body should match '^[0-9]+Gi$'`,
      'spec.parts: Too many: 3: must have at most 2 items',
    ]);
    expect(told({ spec: null })).toEqual(['spec: Invalid value: "null": spec in body must be of type object: "null"']);
  });

  it('fills in defaults, in items of lists too', () => {
    expect(applyDefaults({ spec: { size: '1Gi', parts: [{}] } }, SCHEMA)).toEqual({
      spec: { size: '1Gi', replicas: 1, mode: 'a', parts: [{ n: 7 }] },
    });
  });

  it('finds unknown fields with their paths, except where anything goes', () => {
    const unknown: string[] = [];
    const pruned = pruneUnknown({ spec: { size: '1Gi', sise: 1, free: { x: 1 }, parts: [{ nmae: 'a' }] } }, SCHEMA, unknown);
    expect(unknown).toEqual(['spec.sise', 'spec.parts[0].nmae']);
    expect(pruned).toEqual({ spec: { size: '1Gi', free: { x: 1 }, parts: [{}] } });
  });
});

describe('schemas of built-in kinds', () => {
  it('know types, what is required and how lists merge', () => {
    const pod = builtinDefinition('V1Pod');
    const containers = pod.properties?.['spec']?.properties?.['containers'];
    expect(containers?.['x-kubernetes-list-map-keys']).toEqual(['name']);
    expect(containers?.items?.required).toEqual(['name']);
    expect(containers?.description).toContain('List of containers belonging to the pod');
    expect(validate({ spec: { containers: [{ name: 'a', resources: { limits: { cpu: 1, memory: '1Gi' } } }] } }, pod)).toEqual([]);
    expect(validate({ spec: { containers: [{ name: 'a', ports: [{ containerPort: 'x' }] }] } }, pod)[0]?.field).toBe(
      'spec.containers[0].ports[0].containerPort',
    );
  });
});
