import path from 'node:path';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';
import { isObject, type Json, type JsonObject } from '../store/object.ts';
import { refuse } from './errors.ts';

/**
 * kubectl sends some objects as protobuf, which no header can talk it out of: what `kubectl create
 * role|service|deployment …` makes, evictions, `auth can-i`. They are turned into the JSON that other clients send.
 * Answers are always JSON, which kubectl takes. Envelope:
 * https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding ; messages: the `.proto` files that
 * Kubernetes publishes with its Go types, in local-kube/proto.
 */
const MAGIC = Buffer.from('k8s\0');
const FILES = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'proto');
const GROUPS = [
  'core',
  'apps',
  'rbac',
  'policy',
  'authorization',
  'authentication',
  'autoscaling',
  'coordination',
  'discovery',
  'scheduling',
  'storage',
  'events',
];
const META = 'k8s.io.apimachinery.pkg.apis.meta.v1';

/**
 * Go writes plain fields even when they are empty, and its JSON leaves those out. In these fields, pointers in Go, zero
 * says something and is kept.
 */
const ZERO_COUNTS = new Set([
  'replicas',
  'gracePeriodSeconds',
  'terminationGracePeriodSeconds',
  'immutable',
  'automountServiceAccountToken',
  'controller',
  'blockOwnerDeletion',
  'orphanDependents',
  'runAsUser',
  'runAsGroup',
  'runAsNonRoot',
  'fsGroup',
  'allowPrivilegeEscalation',
  'readOnlyRootFilesystem',
  'privileged',
  'enableServiceLinks',
  'optional',
  'revisionHistoryLimit',
  'value',
]);

let loaded: protobuf.Root | undefined;

/** Read when first needed: most runs of local-kube see no protobuf. */
function messages(): protobuf.Root {
  if (loaded !== undefined) return loaded;
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => path.join(FILES, target);
  root.loadSync(
    GROUPS.map((group) => `k8s.io/api/${group}/v1/generated.proto`),
    { keepCase: true },
  );
  root.resolveAll();
  loaded = root;
  return loaded;
}

/** The object in a protobuf body. Throws 415 for kinds that are not read, 400 for bytes that make no sense. */
export function decodeProtobuf(body: Buffer): JsonObject {
  if (!body.subarray(0, 4).equals(MAGIC)) throw refuse.badRequest('the body is not a Kubernetes protobuf object');
  const envelope = decode(messages().lookupType('k8s.io.apimachinery.pkg.runtime.Unknown'), body.subarray(4));
  const type = envelope['typeMeta'] as { apiVersion?: string; kind?: string } | undefined;
  const { apiVersion = '', kind = '' } = type ?? {};
  const message = messageOf(apiVersion, kind);
  if (message === undefined)
    throw refuse.unsupportedMediaType(
      `application/json, application/yaml (local-kube reads no protobuf of ${apiVersion} ${kind}: write a manifest and apply it)`,
    );
  const raw = envelope['raw'];
  const value = jsonOf(decode(message, raw instanceof Uint8Array ? raw : new Uint8Array()), message);
  return { ...(isObject(value) ? value : {}), apiVersion, kind };
}

/** `apps/v1` `Deployment` → k8s.io.api.apps.v1.Deployment; options of requests are of every group. */
function messageOf(apiVersion: string, kind: string): protobuf.Type | undefined {
  const [group = '', version] = apiVersion.includes('/') ? apiVersion.split('/') : ['core', apiVersion];
  const name = kind === 'DeleteOptions' ? `${META}.DeleteOptions` : `k8s.io.api.${group.split('.')[0] ?? ''}.${version ?? ''}.${kind}`;
  const found = messages().lookup(name, protobuf.Type);
  return found instanceof protobuf.Type ? found : undefined;
}

function decode(message: protobuf.Type, bytes: Uint8Array): { [field: string]: unknown } {
  try {
    return message.toObject(message.decode(bytes), { longs: Number });
  } catch (error) {
    throw refuse.badRequest(`the protobuf body cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** A message as JSON; undefined when it is the empty form of something that JSON leaves out. */
function jsonOf(value: { [field: string]: unknown }, message: protobuf.Type): Json | undefined {
  switch (message.fullName.slice(1)) {
    case `${META}.Time`:
    case `${META}.MicroTime`:
      return typeof value['seconds'] === 'number' ? instantOf(value['seconds'], Number(value['nanos'] ?? 0), message.name) : undefined;
    case `${META}.FieldsV1`:
      return rawJson(value['Raw']);
    case 'k8s.io.apimachinery.pkg.runtime.RawExtension':
      return rawJson(value['raw']);
    case 'k8s.io.apimachinery.pkg.util.intstr.IntOrString':
      return value['type'] === 1 ? String(value['strVal'] ?? '') : Number(value['intVal'] ?? 0);
    case 'k8s.io.apimachinery.pkg.api.resource.Quantity':
      return String(value['string'] ?? '');
    case 'k8s.io.api.authorization.v1.ExtraValue':
    case 'k8s.io.api.authentication.v1.ExtraValue':
      return (value['items'] as string[] | undefined) ?? [];
    default:
      return fieldsOf(value, message);
  }
}

function fieldsOf(value: { [field: string]: unknown }, message: protobuf.Type): JsonObject {
  const object: JsonObject = {};
  for (const [name, given] of Object.entries(value)) {
    const field = message.fields[name];
    if (field === undefined) continue;
    const one = (item: unknown): Json | undefined => scalarOrMessage(item, field);
    let json: Json | undefined;
    if (field.map) json = Object.fromEntries(Object.entries(given as { [key: string]: unknown }).map(([key, item]) => [key, one(item)]));
    else if (Array.isArray(given)) json = given.map((item) => one(item) ?? null);
    else json = one(given);
    const empty = json === '' || json === 0 || json === false;
    // An IntOrString is a message of its own: its zero was said.
    const said = field.resolvedType !== null || ZERO_COUNTS.has(name);
    if (json !== undefined && (!empty || said)) object[name] = json;
  }
  return object;
}

function scalarOrMessage(item: unknown, field: protobuf.Field): Json | undefined {
  if (field.resolvedType instanceof protobuf.Type) return jsonOf(item as { [field: string]: unknown }, field.resolvedType);
  return item instanceof Uint8Array ? Buffer.from(item).toString('base64') : (item as Json);
}

function rawJson(raw: unknown): Json | undefined {
  if (!(raw instanceof Uint8Array) || raw.length === 0) return undefined;
  return JSON.parse(Buffer.from(raw).toString()) as Json;
}

function instantOf(seconds: number, nanos: number, kind: string): string {
  const whole = new Date(seconds * 1000).toISOString().slice(0, 19);
  return kind === 'MicroTime' ? `${whole}.${String(Math.floor(nanos / 1000)).padStart(6, '0')}Z` : `${whole}Z`;
}
