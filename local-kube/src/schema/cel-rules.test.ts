import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Json } from '../store/object.ts';
import { ruleProblem } from './cel-rules.ts';
import type { OpenSchema } from './open-schema.ts';
import { Quantity } from './quantity.ts';
import { validateCustom } from './validate.ts';

const SCHEMA: OpenSchema = {
  type: 'object',
  properties: {
    spec: {
      type: 'object',
      'x-kubernetes-validations': [{ rule: '!has(self.min) || !has(self.max) || self.min <= self.max', message: 'min above max' }],
      properties: {
        min: { type: 'integer' },
        max: { type: 'integer', minimum: 0 },
        size: {
          type: 'string',
          'x-kubernetes-validations': [
            {
              rule: 'quantity(self).compareTo(quantity(oldSelf)) >= 0',
              messageExpression: '"from " + oldSelf + " to " + self',
              message: 'shrinks',
            },
          ],
        },
        parts: {
          type: 'array',
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['name'],
          items: {
            type: 'object',
            properties: { name: { type: 'string' }, n: { type: 'integer' } },
            'x-kubernetes-validations': [
              { rule: 'self.n >= oldSelf.n', message: 'n falls', reason: 'FieldValueForbidden', fieldPath: '.n' },
            ],
          },
        },
      },
    },
  },
};
const told = (value: Json, old?: Json): string[] =>
  validateCustom(value, SCHEMA, old).map(({ field, message }) => `${field ?? ''}: ${message}`);

describe('rules of custom resources', () => {
  it('are checked beside the schema, unless a value is not even of its kind', () => {
    expect(told({ spec: { min: 1, max: 2 } })).toEqual([]);
    expect(told({ spec: { min: 3, max: 2 } })).toEqual(['spec: Invalid value: min above max']);
    expect(told({ spec: { min: 3, max: -2 } })).toEqual([
      'spec.max: Invalid value: -2: spec.max in body should be greater than or equal to 0',
      'spec: Invalid value: min above max',
    ]);
    expect(told({ spec: { min: 'x', max: 2 } })).toEqual([
      'spec.min: Invalid value: "string": spec.min in body must be of type integer: "string"',
      '<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation',
    ]);
  });

  it('about oldSelf count for updates, and items of a list are compared by their keys', () => {
    expect(told({ spec: { size: '1Gi' } })).toEqual([]);
    expect(told({ spec: { size: '1Gi' } }, { spec: {} })).toEqual([]);
    expect(told({ spec: { size: '1Gi' } }, { spec: { size: '1025Mi' } })).toEqual(['spec.size: Invalid value: "1Gi": from 1025Mi to 1Gi']);
    const parts = (...ns: number[]): Json => ({ spec: { parts: ns.map((n, index) => ({ name: `p${index}`, n })) } });
    expect(told(parts(1, 5), parts(1, 4))).toEqual([]);
    expect(told(parts(1, 3), parts(1, 4))).toEqual(['spec.parts[1].n: Forbidden: n falls']);
  });

  it('that fail to compute refuse the value and say why', () => {
    expect(told({ spec: { size: 'big' } }, { spec: { size: '1Gi' } })[0]).toContain("'big' is not a quantity evaluating rule: shrinks");
  });

  it('hold nothing against an update that it did not change', () => {
    const bad = { spec: { min: 3, max: -2 } };
    expect(told({ ...bad, status: { seen: 1 } }, bad)).toEqual([]);
    expect(told({ spec: { ...bad.spec, min: 4 } }, bad)).toEqual(['spec: Invalid value: min above max']);
  });

  it('are refused with their definition when they do not compile', () => {
    expect(ruleProblem('self.x == 1')).toBeUndefined();
    expect(ruleProblem('self ==')).toContain('Unexpected token');
    expect(ruleProblem('selves == 1')).toContain('selves');
    expect(ruleProblem('quantity(self).nonsense()')).toBeDefined();
    expect(ruleProblem('1 + 1')).toContain('no bool');
  });
});

describe('quantities', () => {
  const nano = (text: string): bigint | undefined => Quantity.parse(text)?.nano;

  it('are exact', () => {
    expect(nano('1')).toBe(10n ** 9n);
    expect(nano('1Ki')).toBe(1024n * 10n ** 9n);
    expect(nano('1.5Gi')).toBe(1536n * 1024n * 1024n * 10n ** 9n);
    expect(nano('500m')).toBe(5n * 10n ** 8n);
    expect(nano('1e3')).toBe(nano('1k'));
    expect(nano('-0.5')).toBe(-5n * 10n ** 8n);
    expect(nano('.5')).toBe(5n * 10n ** 8n);
    for (const none of ['', '.', '1GB', '1 Gi', 'Gi', '1e', '--1', '1_0']) expect(nano(none)).toBeUndefined();
  });

  it('compare as their values do', () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), fc.nat(1_000_000), (a, b) => {
        const [x, y] = [Quantity.parse(`${a}Ki`), Quantity.parse(`${b * 1024}`)];
        return x !== undefined && y !== undefined && x.compareTo(y) === Math.sign(a - b);
      }),
    );
  });
});
