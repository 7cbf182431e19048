import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { builtinDefinition } from '../schema/builtin-types.ts';
import type { OpenSchema } from '../schema/open-schema.ts';
import type { Json, KubeObject } from '../store/object.ts';
import { fieldPaths, fieldsOf, intersect, subtract, union, type FieldSet } from './field-set.ts';
import { applyJsonPatch } from './json-patch.ts';
import { applyMergePatch } from './merge-patch.ts';
import { ApplyConflict, serverSideApply } from './server-side-apply.ts';
import { applyStrategicMergePatch } from './strategic-merge.ts';

describe('JSON patch', () => {
  it('adds, removes, replaces, moves, copies and tests', () => {
    const patch = [
      { op: 'test', path: '/a', value: 1 },
      { op: 'add', path: '/list/-', value: 3 },
      { op: 'add', path: '/list/0', value: 0 },
      { op: 'copy', from: '/a', path: '/b~1c' },
      { op: 'move', from: '/a', path: '/d' },
      { op: 'remove', path: '/list/1' },
    ];
    expect(applyJsonPatch({ a: 1, list: [1, 2] }, patch)).toEqual({ list: [0, 2, 3], 'b/c': 1, d: 1 });
  });

  it('refuses a failed test and a path that is not there, and changes nothing', () => {
    const target = { a: { b: 1 } };
    expect(() =>
      applyJsonPatch(target, [
        { op: 'remove', path: '/a/b' },
        { op: 'test', path: '/a', value: 2 },
      ]),
    ).toThrow('operation 1 ({"op":"test","path":"/a","value":2}): the test failed');
    expect(() => applyJsonPatch(target, [{ op: 'replace', path: '/x/y', value: 2 }])).toThrow('does not exist');
    expect(target).toEqual({ a: { b: 1 } });
  });
});

describe('merge patch', () => {
  it('follows the cases of RFC 7386', () => {
    const cases: [Json, Json, Json][] = [
      [{ a: 'b' }, { a: null }, {}],
      [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
      [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
      [{ e: null }, { a: 1 }, { e: null, a: 1 }],
      [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
    ];
    for (const [target, patch, result] of cases) expect(applyMergePatch(target, patch)).toEqual(result);
  });
});

describe('strategic merge patch', () => {
  const schema = builtinDefinition('V1Pod');
  const pod = {
    spec: {
      containers: [
        { name: 'a', image: 'x', env: [{ name: 'E', value: '1' }] },
        { name: 'b', image: 'y' },
      ],
    },
  };

  it('merges lists by their keys and deletes by directive', () => {
    const patch = {
      spec: {
        containers: [
          { name: 'a', image: 'z' },
          { name: 'b', $patch: 'delete' },
          { name: 'c', image: 'n' },
        ],
        '$setElementOrder/containers': [{ name: 'c' }, { name: 'a' }],
      },
    };
    expect(applyStrategicMergePatch(pod, patch, schema)).toEqual({
      spec: {
        containers: [
          { name: 'c', image: 'n' },
          { name: 'a', image: 'z', env: [{ name: 'E', value: '1' }] },
        ],
      },
    });
  });

  it('handles finalizers as a set of texts', () => {
    const object = { metadata: { finalizers: ['a', 'b'] } };
    expect(applyStrategicMergePatch(object, { metadata: { '$deleteFromPrimitiveList/finalizers': ['a'] } }, schema)).toEqual({
      metadata: { finalizers: ['b'] },
    });
    expect(applyStrategicMergePatch(object, { metadata: { finalizers: ['c'] } }, schema)).toEqual({
      metadata: { finalizers: ['a', 'b', 'c'] },
    });
  });
});

describe('field sets', () => {
  const value = fc.letrec<{ json: Json }>((tie) => ({
    json: fc.oneof({ maxDepth: 3 }, fc.integer(), fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('json'), { maxKeys: 3 })),
  })).json;
  const set = value.map((one) => fieldsOf(one, undefined));

  it('are sets: what is taken away is gone, what is common is in both', () => {
    fc.assert(
      fc.property(set, set, (a: FieldSet, b: FieldSet) => {
        expect(intersect(subtract(a, b), b)).toBeUndefined();
        expect(new Set(fieldPaths(union(subtract(a, b), intersect(a, b))))).toEqual(new Set(fieldPaths(a)));
        expect(subtract(a, union(a, b))).toBeUndefined();
      }),
    );
  });

  it('name items of keyed lists with the defaults of their keys', () => {
    const ports = fieldsOf({ containers: [{ name: 'c', ports: [{ containerPort: 80 }] }] }, builtinDefinition('V1PodSpec'));
    expect(fieldPaths(ports)).toContain('.containers[name="c"].ports[containerPort=80,protocol="TCP"]');
  });
});

describe('server-side apply', () => {
  const schema: OpenSchema = {
    type: 'object',
    properties: {
      spec: {
        type: 'object',
        properties: {
          a: { type: 'integer' },
          b: { type: 'integer' },
          list: {
            type: 'array',
            'x-kubernetes-list-type': 'map',
            'x-kubernetes-list-map-keys': ['name'],
            items: { type: 'object', properties: { name: { type: 'string' }, v: { type: 'integer' } } },
          },
        },
      },
    },
  };
  const configuration = (spec: { [key: string]: Json }): KubeObject => ({ apiVersion: 'x/v1', kind: 'X', metadata: { name: 'x' }, spec });
  const apply = (live: KubeObject | undefined, spec: { [key: string]: Json }, manager: string, force = false): KubeObject =>
    serverSideApply({
      live,
      applied: configuration(spec),
      manager: { name: manager, operation: 'Apply', subresource: undefined },
      force,
      schema,
      statusSeparate: true,
      time: '2026-01-01T00:00:00Z',
    });

  it('removes what the manager applied before and leaves out now', () => {
    const first = apply(
      undefined,
      {
        a: 1,
        b: 2,
        list: [
          { name: 'x', v: 1 },
          { name: 'y', v: 2 },
        ],
      },
      'me',
    );
    const second = apply(first, { a: 1, list: [{ name: 'y', v: 3 }] }, 'me');
    expect(second['spec']).toEqual({ a: 1, list: [{ name: 'y', v: 3 }] });
  });

  it('leaves what others own, and shares what they agree on', () => {
    const mine = apply(undefined, { a: 1, list: [{ name: 'x', v: 1 }] }, 'me');
    const both = apply(mine, { a: 1, b: 2, list: [{ name: 'y', v: 2 }] }, 'you');
    expect(apply(both, {}, 'me')['spec']).toEqual({ a: 1, b: 2, list: [{ name: 'y', v: 2 }] });
  });

  it('refuses to change what another owns, unless forced', () => {
    const mine = apply(undefined, { a: 1, b: 1 }, 'me');
    expect(() => apply(mine, { a: 2 }, 'you')).toThrow(ApplyConflict);
    expect(() => apply(mine, { a: 2 }, 'you')).toThrow('Apply failed with 1 conflict: conflict with "me" using x/v1: .spec.a');
    const forced = apply(mine, { a: 2 }, 'you', true);
    expect(forced['spec']).toEqual({ a: 2, b: 1 });
    expect(forced.metadata.managedFields?.map((entry) => [entry.manager, entry.fieldsV1])).toEqual([
      ['me', { 'f:spec': { 'f:b': {} } }],
      ['you', { 'f:spec': { 'f:a': {} } }],
    ]);
  });

  it('applied twice is applied once', () => {
    const first = apply(undefined, { a: 1, list: [{ name: 'x' }] }, 'me');
    expect(apply(first, { a: 1, list: [{ name: 'x' }] }, 'me')).toEqual(first);
  });
});
