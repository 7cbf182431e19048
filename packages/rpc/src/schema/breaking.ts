import type { Enum, Message, Schema, Service } from './schema.ts';

/**
 * What may not change in the protocol: a daemon and a compute of two releases speak while a cluster is upgraded, and
 * one must never take a field for another. Names of fields and values may change, their numbers and types may not; a
 * number that is given up is reserved for good.
 */

function gone(owner: string, what: string, number: number): string {
  return `${owner}: ${what} (number ${number}) is gone; write 'reserved ${number};' there, so that no later field has its number`;
}

function reservedStill(owner: string, before: readonly number[], now: readonly number[]): string[] {
  return before
    .filter((number) => !now.includes(number))
    .map((number) => `${owner}: number ${number} was given up once and must stay reserved; write 'reserved ${number};' there again`);
}

function messageBreaks(before: Message, now: Message): string[] {
  const fields = before.fields.flatMap((old): string[] => {
    const same = now.fields.find(({ number }) => number === old.number);
    if (same === undefined) {
      const moved = now.fields.find(({ name }) => name === old.name);
      if (moved !== undefined)
        return [`${before.name}.${old.name}: its number was ${old.number} and is ${moved.number}; give it its number back`];
      return now.reserved.includes(old.number) ? [] : [gone(before.name, `field ${old.name}`, old.number)];
    }
    const type = (field: typeof old): string => `${field.repeated ? 'repeated ' : ''}${field.type}`;
    if (type(old) === type(same)) return [];
    return [
      `${before.name}.${same.name}: number ${old.number} was ${type(old)} ${old.name} and is ${type(same)}; ` +
        `leave it, or reserve ${old.number} and give the new field a number of its own`,
    ];
  });
  return [...fields, ...reservedStill(before.name, before.reserved, now.reserved)];
}

function enumBreaks(before: Enum, now: Enum): string[] {
  const values = before.values.flatMap((old): string[] => {
    if (now.values.some(({ number }) => number === old.number) || now.reserved.includes(old.number)) return [];
    const moved = now.values.find(({ name }) => name === old.name);
    if (moved !== undefined)
      return [`${before.name}.${old.name}: its number was ${old.number} and is ${moved.number}; give it its number back`];
    return [gone(before.name, `value ${old.name}`, old.number)];
  });
  return [...values, ...reservedStill(before.name, before.reserved, now.reserved)];
}

function serviceBreaks(before: Service, now: Service): string[] {
  return before.methods.flatMap((old): string[] => {
    const same = now.methods.find(({ name }) => name === old.name);
    const where = `${before.name}.${old.name}`;
    if (same === undefined) return [`${where}: is gone; a caller of the release before still calls it. Keep it, answering as it did`];
    const shape = (method: typeof old): string =>
      `(${method.requestStream ? 'stream ' : ''}${method.request}) returns (${method.responseStream ? 'stream ' : ''}${method.response})`;
    return shape(old) === shape(same)
      ? []
      : [`${where}: was ${shape(old)} and is ${shape(same)}; leave it, and add an RPC of another name`];
  });
}

function each<T extends { readonly name: string }>(
  what: string,
  before: readonly T[],
  now: readonly T[],
  breaks: (before: T, now: T) => string[],
): string[] {
  return before.flatMap((old) => {
    const same = now.find(({ name }) => name === old.name);
    return same === undefined ? [`${what} ${old.name}: is gone or has another name; give it its name back`] : breaks(old, same);
  });
}

/**
 * A message of what is broken between two states of the protocol, and what to do, for each; none when the later one may
 * follow.
 */
export function breakingChanges(before: Schema, now: Schema): string[] {
  if (before.package !== now.package) return [`package: was ${before.package} and is ${now.package}; every RPC's path has it`];
  return [
    ...each('message', before.messages, now.messages, messageBreaks),
    ...each('enum', before.enums, now.enums, enumBreaks),
    ...each('service', before.services, now.services, serviceBreaks),
  ];
}
