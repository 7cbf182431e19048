import type { IncomingMessage } from 'node:http';
import { parse as parseYaml } from 'yaml';
import { isObject, type Json, type KubeObject } from '../store/object.ts';
import { refuse } from './errors.ts';
import { decodeProtobuf } from './protobuf.ts';

const BODY_LIMIT_BYTES = 3 * 1024 * 1024;

/** What a request of the resource API is about. */
export interface ResourcePath {
  readonly group: string;
  readonly version: string;
  readonly namespace: string | undefined;
  readonly plural: string;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
  /** What stands after the subresource: the path that a proxy asks for. */
  readonly rest: string;
}

/** Reads `/api/v1/…` and `/apis/GROUP/VERSION/…`; undefined for any other path. */
export function parseResourcePath(pathname: string): ResourcePath | undefined {
  const parts = pathname
    .split('/')
    .filter((part) => part !== '')
    .map(decodeURIComponent);
  const core = parts[0] === 'api';
  if (!core && parts[0] !== 'apis') return undefined;
  const group = core ? '' : (parts[1] ?? '');
  const version = parts[core ? 1 : 2];
  const rest = parts.slice(core ? 2 : 3);
  if (version === undefined || rest.length === 0) return undefined;
  const base = { group, version };
  // /namespaces/NAME/PLURAL… is about PLURAL; /namespaces/NAME and its own subresources are about the namespace.
  const within =
    rest[0] === 'namespaces' &&
    rest[2] !== undefined &&
    !(group === '' && rest.length === 3 && (rest[2] === 'status' || rest[2] === 'finalize'));
  const [plural = '', name, subresource, ...after] = within ? rest.slice(2) : rest;
  return { ...base, namespace: within ? rest[1] : undefined, plural, name, subresource, rest: after.map(encodeURIComponent).join('/') };
}

export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > BODY_LIMIT_BYTES) throw refuse.badRequest(`the body is larger than ${BODY_LIMIT_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

export function parseBody(body: Buffer, contentType: string): Json {
  if (contentType.includes('protobuf')) return decodeProtobuf(body);
  const text = body.toString('utf8');
  try {
    return contentType.includes('yaml') && !text.trimStart().startsWith('{') ? (parseYaml(text) as Json) : (JSON.parse(text) as Json);
  } catch (error) {
    throw refuse.badRequest(`the body cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** The body as an object of some kind. What its schema says is checked later. */
export function asKubeObject(body: Json): KubeObject {
  if (!isObject(body)) throw refuse.badRequest('the body must be an object');
  const { apiVersion, kind, metadata } = body;
  if (typeof apiVersion !== 'string' || typeof kind !== 'string')
    throw refuse.badRequest("Object 'Kind' and 'apiVersion' are required in the body");
  if (metadata !== undefined && metadata !== null && !isObject(metadata)) throw refuse.badRequest('metadata must be an object');
  const name = isObject(metadata) && typeof metadata['name'] === 'string' ? metadata['name'] : '';
  return { ...body, apiVersion, kind, metadata: { ...metadata, name } };
}

/** The representation that the Accept header asks for first, of those that local-kube has. */
export function wantedForm(accept: string): 'Table' | 'PartialObjectMetadata' | 'object' {
  for (const media of accept.split(',')) {
    if (media.includes('protobuf') || media.includes('cbor')) continue;
    if (media.includes('as=Table')) return 'Table';
    if (media.includes('as=PartialObjectMetadata')) return 'PartialObjectMetadata';
    if (media.includes('json') || media.includes('*/*')) return 'object';
  }
  return 'object';
}
