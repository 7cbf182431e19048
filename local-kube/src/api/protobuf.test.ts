import { describe, expect, it } from 'vitest';
import protobuf from 'protobufjs';
import { decodeProtobuf } from './protobuf.ts';

/** Bytes of a message with these length-delimited and number fields, written independently of the .proto files. */
function bytes(...fields: [number: number, value: Uint8Array | string | number][]): Uint8Array {
  const writer = protobuf.Writer.create();
  for (const [number, value] of fields) {
    if (typeof value === 'number') writer.uint32(number * 8).int32(value);
    else writer.uint32(number * 8 + 2).bytes(typeof value === 'string' ? Buffer.from(value) : value);
  }
  return writer.finish();
}

const envelope = (apiVersion: string, kind: string, raw: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from('k8s\0'), bytes([1, bytes([1, apiVersion], [2, kind])], [2, raw])]);

describe('protobuf bodies', () => {
  it('become the JSON that other clients send: empty fields left out, zero kept where it says something', () => {
    const metadata = bytes([1, 'web'], [2, ''], [3, 'default'], [8, bytes()], [11, bytes([1, 'app'], [2, 'web'])]);
    const port = bytes([1, ''], [2, 'TCP'], [3, 80], [4, bytes([1, 1], [2, 0], [3, 'http'])], [5, 0]);
    expect(decodeProtobuf(envelope('v1', 'Service', bytes([1, metadata], [2, bytes([1, port], [4, 'ClusterIP'])])))).toEqual({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web', namespace: 'default', labels: { app: 'web' } },
      spec: { ports: [{ protocol: 'TCP', port: 80, targetPort: 'http' }], type: 'ClusterIP' },
    });
    expect(decodeProtobuf(envelope('apps/v1', 'Deployment', bytes([2, bytes([1, 0], [5, 0])])))).toEqual({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      spec: { replicas: 0 },
    });
    const budget = bytes([2, bytes([3, bytes([1, 0], [2, 0], [3, ''])])]);
    expect(decodeProtobuf(envelope('policy/v1', 'PodDisruptionBudget', budget))).toMatchObject({ spec: { maxUnavailable: 0 } });
    expect(decodeProtobuf(envelope('v1', 'Secret', bytes([2, bytes([1, 'a'], [2, new Uint8Array([255])])])))).toMatchObject({
      data: { a: '/w==' },
    });
  });

  it('are refused when they are cut off, of no known kind, or no protobuf of Kubernetes', () => {
    expect(() => decodeProtobuf(envelope('v1', 'Service', bytes([1, 'x'])).subarray(0, -1))).toThrow('cannot be read');
    expect(() => decodeProtobuf(envelope('example.dev/v1', 'Widget', bytes()))).toThrow('reads no protobuf of example.dev/v1 Widget');
    expect(() => decodeProtobuf(Buffer.from('{}'))).toThrow('not a Kubernetes protobuf object');
  });
});
