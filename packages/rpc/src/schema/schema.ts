import protobuf from 'protobufjs';

/**
 * The .proto files as data: what is generated from them, and what a release may change in them, is decided over this.
 * Only what the protocol uses is taken; anything else is refused by name, and not passed over.
 */

/** The scalar types that fields may have: 64 bits are always fixed64, which costs nobody a conversion. */
export const SCALARS = ['fixed64', 'uint32', 'bool', 'string', 'bytes'] as const;

export interface Field {
  readonly number: number;
  /** As in the .proto file: snake case. */
  readonly name: string;
  /** A scalar, or the name of a message or an enum. */
  readonly type: string;
  readonly repeated: boolean;
  /** May be absent, which is not the same as its type's zero. */
  readonly optional: boolean;
  readonly comment: string;
}

export interface Message {
  readonly name: string;
  readonly comment: string;
  readonly fields: readonly Field[];
  /** Numbers that no field may have again. */
  readonly reserved: readonly number[];
}

export interface Enum {
  /** With the name of the message that it stands in, if any: SegmentState.Phase. */
  readonly name: string;
  readonly values: readonly { readonly number: number; readonly name: string }[];
  readonly reserved: readonly number[];
}

export interface Method {
  readonly name: string;
  readonly request: string;
  readonly requestStream: boolean;
  readonly response: string;
  readonly responseStream: boolean;
}

export interface Service {
  readonly name: string;
  readonly methods: readonly Method[];
}

export interface Schema {
  readonly package: string;
  readonly messages: readonly Message[];
  readonly enums: readonly Enum[];
  readonly services: readonly Service[];
}

/** Says which part of a .proto file is not as the generator needs it. */
export class SchemaError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SchemaError';
  }
}

const RESERVED_RANGE_MAX = 1000;

function reservedNumbers(owner: string, reserved: readonly (number[] | string)[] | undefined): number[] {
  return (reserved ?? []).flatMap((range) => {
    if (typeof range === 'string') return [];
    const [from = 0, to = from] = range;
    if (to - from > RESERVED_RANGE_MAX) throw new SchemaError(`${owner}: reserved ${from} to ${to} is too wide; name the numbers`);
    return Array.from({ length: to - from + 1 }, (_, index) => from + index);
  });
}

function enumOf(node: protobuf.Enum, name: string): Enum {
  const values = Object.entries(node.values).map(([value, number]) => ({ number, name: value }));
  if (!values.some(({ number }) => number === 0)) throw new SchemaError(`${name}: has no value 0`);
  return { name, values, reserved: reservedNumbers(name, node.reserved) };
}

function fieldOf(field: protobuf.Field, owner: string): Field {
  const where = `${owner}.${field.name}`;
  if (field.partOf !== null && !field.partOf.isProto3Optional) throw new SchemaError(`${where}: oneof is not generated`);
  if (field instanceof protobuf.MapField) throw new SchemaError(`${where}: maps are not generated`);
  const resolved = field.resolve().resolvedType;
  const type = resolved === null ? field.type : resolved.fullName.replace(/^\.kubeaurora\.v1\./, '');
  if (resolved === null && !SCALARS.some((scalar) => scalar === type)) {
    throw new SchemaError(`${where}: ${type} is not generated; it takes ${SCALARS.join(', ')}`);
  }
  if (resolved === null && field.repeated) throw new SchemaError(`${where}: lists of scalars are not generated; make it a message`);
  const optional = field.partOf !== null || field.options?.['proto3_optional'] === true;
  return { number: field.id, name: field.name, type, repeated: field.repeated, optional, comment: field.comment ?? '' };
}

/** The schema that some .proto files, given by their text, make together. */
export function readSchema(sources: readonly string[]): Schema {
  const root = new protobuf.Root();
  let packageName = '';
  for (const source of sources) {
    const parsed = protobuf.parse(source, root, { keepCase: true, alternateCommentMode: true, preferTrailingComment: true });
    packageName = parsed.package ?? '';
  }
  root.resolveAll();
  const namespace = root.lookup(packageName);
  if (!(namespace instanceof protobuf.Namespace)) throw new SchemaError(`package '${packageName}' is empty`);
  const messages: Message[] = [];
  const enums: Enum[] = [];
  const services: Service[] = [];
  for (const node of namespace.nestedArray) {
    if (node instanceof protobuf.Enum) enums.push(enumOf(node, node.name));
    else if (node instanceof protobuf.Service) {
      const methods = node.methodsArray.map((method) => ({
        name: method.name,
        request: method.requestType,
        requestStream: method.requestStream === true,
        response: method.responseType,
        responseStream: method.responseStream === true,
      }));
      services.push({ name: node.name, methods });
    } else if (node instanceof protobuf.Type) {
      for (const inner of node.nestedArray) {
        if (!(inner instanceof protobuf.Enum)) throw new SchemaError(`${node.name}.${inner.name}: only enums may stand inside a message`);
        enums.push(enumOf(inner, `${node.name}.${inner.name}`));
      }
      const fields = node.fieldsArray.map((field) => fieldOf(field, node.name)).sort((a, b) => a.number - b.number);
      messages.push({ name: node.name, comment: node.comment ?? '', fields, reserved: reservedNumbers(node.name, node.reserved) });
    }
  }
  return { package: packageName, messages, enums, services };
}
