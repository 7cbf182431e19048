import { fileURLToPath } from 'node:url';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { loadSync, type MessageTypeDefinition } from '@grpc/proto-loader';
import type { AppendHello, AppendRequest } from './messages.ts';
import { faultFromMessage } from './segment-fault.ts';
import {
  decodeAppendRequest,
  decodeAppendResponse,
  decodeGetPagesResponse,
  decodeRedoChunk,
  encodeAppendRequest,
  encodeAppendResponse,
  encodeGetPagesResponse,
  encodeRedoChunk,
} from './wire.ts';

// The images carry proto/ at another place than the repository does; AURORA_PROTO_DIR names it there.
const PROTO_DIR = process.env['AURORA_PROTO_DIR'] ?? fileURLToPath(new URL('../../../proto', import.meta.url));

/** proto-loader turns 64-bit numbers into strings; these walkers turn them into bigint by the message's own descriptor. */
interface FieldDescriptor {
  name: string;
  type: string;
  typeName: string;
}
type Plain = Record<string, unknown>;
type Convert = (message: Plain) => Plain;

const WIDE_TYPES = new Set(['TYPE_FIXED64', 'TYPE_UINT64', 'TYPE_INT64', 'TYPE_SFIXED64', 'TYPE_SINT64']);

function camelCase(name: string): string {
  return name.replaceAll(/_([a-z0-9])/g, (_match, letter: string) => letter.toUpperCase());
}

function isPlain(value: unknown): value is Plain {
  return typeof value === 'object' && value !== null && !Buffer.isBuffer(value);
}

function converterFor(
  descriptors: ReadonlyMap<string, FieldDescriptor[]>,
  convertWide: (value: unknown) => unknown,
  special: ReadonlyMap<string, Convert> = new Map(),
) {
  const byType = new Map<string, Convert>();
  const build = (typeName: string): Convert => {
    const known = byType.get(typeName);
    if (known !== undefined) return known;
    const fields = descriptors.get(typeName) ?? [];
    const finish = special.get(typeName.slice(typeName.lastIndexOf('.') + 1));
    const convert: Convert = (message) => {
      const out: Plain = { ...message };
      for (const field of fields) {
        const key = camelCase(field.name);
        const value = out[key];
        if (value === undefined || value === null) {
          out[key] = undefined;
        } else if (WIDE_TYPES.has(field.type)) {
          out[key] = convertWide(value);
        } else if (field.type === 'TYPE_MESSAGE') {
          const inner = build(field.typeName);
          out[key] = Array.isArray(value) ? value.filter(isPlain).map(inner) : isPlain(value) ? inner(value) : value;
        }
      }
      return finish === undefined ? out : finish(out);
    };
    byType.set(typeName, convert);
    return convert;
  };
  return build;
}

function load() {
  const definition = loadSync(['segment.proto', 'peer.proto'], {
    includeDirs: [PROTO_DIR],
    longs: String,
    enums: String,
    defaults: true,
    arrays: true,
    keepCase: false,
  });
  const descriptors = new Map<string, FieldDescriptor[]>();
  for (const entry of Object.values(definition)) {
    if ('fileDescriptorProtos' in entry && 'type' in entry) {
      const { name, field } = (entry as MessageTypeDefinition<object, object>).type as { name: string; field: FieldDescriptor[] };
      descriptors.set(name, field);
      descriptors.set(`kubeaurora.v1.${name}`, field);
      descriptors.set(`.kubeaurora.v1.${name}`, field);
    }
  }
  return { definition, descriptors };
}

const { definition, descriptors } = load();
/** Messages that are unions to TypeScript. */
const UNIONS = new Map<string, Convert>([['SegmentFault', faultFromMessage]]);
const toWide = converterFor(descriptors, (value) => BigInt(String(value)), UNIONS);
const fromWide = converterFor(descriptors, String);

function typeName(type: MessageTypeDefinition<object, object>): string {
  return (type.type as { name: string }).name;
}

/** The methods of one service, with 64-bit fields as bigint and the hot messages marshalled by hand. */
function serviceDefinition(name: string): ServiceDefinition {
  const service = definition[`kubeaurora.v1.${name}`];
  if (service === undefined || 'format' in service) throw new Error(`service ${name} is missing in ${PROTO_DIR}`);
  const methods: Record<string, MethodDefinition<object, object>> = {};
  for (const [methodName, method] of Object.entries(service)) {
    const requestName = typeName(method.requestType);
    const responseName = typeName(method.responseType);
    const requestIn = toWide(requestName);
    const requestOut = fromWide(requestName);
    const responseIn = toWide(responseName);
    const responseOut = fromWide(responseName);
    methods[methodName] = {
      path: method.path,
      requestStream: method.requestStream,
      responseStream: method.responseStream,
      ...(method.originalName === undefined ? {} : { originalName: method.originalName }),
      requestSerialize: (value: object) => method.requestSerialize(requestOut(value as Plain)),
      requestDeserialize: (bytes: Buffer) => requestIn(method.requestDeserialize(bytes) as Plain),
      responseSerialize: (value: object) => method.responseSerialize(responseOut(value as Plain)),
      responseDeserialize: (bytes: Buffer) => responseIn(method.responseDeserialize(bytes) as Plain),
    };
  }
  return methods as ServiceDefinition;
}

/** An append message that was marshalled once and goes to all six segments as it is. */
export type PreparedAppend = Buffer;

export const SEGMENT_SERVICE: ServiceDefinition = (() => {
  const service = serviceDefinition('SegmentService');
  const append = service['Append'];
  const getPages = service['GetPages'];
  if (append === undefined || getPages === undefined) throw new Error('segment.proto lacks Append or GetPages');
  const slowRequest = append.requestSerialize;
  const slowDecode = append.requestDeserialize;
  const decodeHello = (whole: Buffer): AppendHello | undefined => (slowDecode(whole) as AppendRequest).hello;
  return {
    ...service,
    Append: {
      ...append,
      requestSerialize: (value: AppendRequest | PreparedAppend) => {
        if (Buffer.isBuffer(value)) return value;
        return value.hello === undefined
          ? encodeAppendRequest(value.batches === undefined ? [] : [value.batches], value.vdl, value.pgmrpl)
          : slowRequest(value);
      },
      requestDeserialize: (bytes: Buffer) => decodeAppendRequest(bytes, decodeHello),
      responseSerialize: encodeAppendResponse,
      responseDeserialize: decodeAppendResponse,
    },
    GetPages: { ...getPages, responseSerialize: encodeGetPagesResponse, responseDeserialize: decodeGetPagesResponse },
  };
})();

export const PEER_SERVICE: ServiceDefinition = (() => {
  const service = serviceDefinition('PeerService');
  const fetchRedo = service['FetchRedo'];
  if (fetchRedo === undefined) throw new Error('peer.proto lacks FetchRedo');
  return { ...service, FetchRedo: { ...fetchRedo, responseSerialize: encodeRedoChunk, responseDeserialize: decodeRedoChunk } };
})();
