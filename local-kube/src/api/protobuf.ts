import type { JsonObject } from '../store/object.ts';
import { refuse } from './errors.ts';

/**
 * `kubectl create namespace|configmap|secret|serviceaccount` sends its object as protobuf, which no header can talk it out
 * of; so those kinds are read. Everything else comes as JSON.
 * Envelope: https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding ; field numbers: the `.proto`
 * files published with k8s.io/api and k8s.io/apimachinery.
 */
const MAGIC = Buffer.from('k8s\0');

type FieldKind = 'string' | 'bytes' | 'bool' | 'strings' | 'stringMap' | 'bytesMap' | Layout;
type Layout = { readonly [field: number]: readonly [name: string, kind: FieldKind] };

const OBJECT_META: Layout = {
  1: ['name', 'string'],
  2: ['generateName', 'string'],
  3: ['namespace', 'string'],
  11: ['labels', 'stringMap'],
  12: ['annotations', 'stringMap'],
  14: ['finalizers', 'strings'],
};
const KINDS: { readonly [kind: string]: Layout } = {
  Namespace: { 1: ['metadata', OBJECT_META] },
  ConfigMap: { 1: ['metadata', OBJECT_META], 2: ['data', 'stringMap'], 3: ['binaryData', 'bytesMap'], 4: ['immutable', 'bool'] },
  Secret: {
    1: ['metadata', OBJECT_META],
    2: ['data', 'bytesMap'],
    3: ['type', 'string'],
    4: ['stringData', 'stringMap'],
    5: ['immutable', 'bool'],
  },
  ServiceAccount: { 1: ['metadata', OBJECT_META] },
};

/** The object in a protobuf body. Throws 415 for kinds that are not read, 400 for bytes that make no sense. */
export function decodeProtobuf(body: Buffer): JsonObject {
  if (!body.subarray(0, 4).equals(MAGIC)) throw refuse.badRequest('the body is not a Kubernetes protobuf object');
  const envelope = fields(body.subarray(4));
  const type = fields(envelope.find(({ field }) => field === 1)?.bytes ?? Buffer.alloc(0));
  const text = (field: number): string => type.find((one) => one.field === field)?.bytes.toString() ?? '';
  const [apiVersion, kind] = [text(1), text(2)];
  const layout = apiVersion === 'v1' ? KINDS[kind] : undefined;
  if (layout === undefined)
    throw refuse.unsupportedMediaType(
      `application/json, application/yaml (local-kube reads no protobuf of ${apiVersion} ${kind}: write a manifest and apply it)`,
    );
  return { apiVersion, kind, ...message(envelope.find(({ field }) => field === 2)?.bytes ?? Buffer.alloc(0), layout) };
}

function message(bytes: Buffer, layout: Layout): JsonObject {
  const object: JsonObject = {};
  for (const { field, bytes: value, number } of fields(bytes)) {
    const [name, kind] = layout[field] ?? [];
    if (name === undefined || kind === undefined) continue;
    if (typeof kind === 'object') object[name] = message(value, kind);
    else if (kind === 'string') {
      if (value.length > 0) object[name] = value.toString();
    } else if (kind === 'bool') object[name] = number !== 0;
    else if (kind === 'bytes') object[name] = value.toString('base64');
    else if (kind === 'strings') object[name] = [...(Array.isArray(object[name]) ? object[name] : []), value.toString()];
    else {
      const entry = fields(value);
      const part = (at: number): Buffer => entry.find((one) => one.field === at)?.bytes ?? Buffer.alloc(0);
      object[name] = {
        ...(object[name] as JsonObject | undefined),
        [part(1).toString()]: part(2).toString(kind === 'bytesMap' ? 'base64' : 'utf8'),
      };
    }
  }
  return object;
}

interface Field {
  readonly field: number;
  /** Of a length-delimited field. */
  readonly bytes: Buffer;
  /** Of a varint field. */
  readonly number: number;
}

function fields(bytes: Buffer): Field[] {
  const found: Field[] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 63; shift += 7) {
      const byte = bytes[at];
      if (byte === undefined) throw refuse.badRequest('the protobuf body ends too early');
      at += 1;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw refuse.badRequest('the protobuf body has a number that is too long');
  };
  while (at < bytes.length) {
    const key = varint();
    const field = Math.floor(key / 8);
    switch (key % 8) {
      case 0:
        found.push({ field, bytes: Buffer.alloc(0), number: varint() });
        break;
      case 2: {
        const length = varint();
        if (at + length > bytes.length) throw refuse.badRequest('the protobuf body ends too early');
        found.push({ field, bytes: bytes.subarray(at, at + length), number: 0 });
        at += length;
        break;
      }
      case 1:
        at += 8;
        break;
      case 5:
        at += 4;
        break;
      default:
        throw refuse.badRequest('the protobuf body cannot be read');
    }
  }
  return found;
}
