/**
 * What a client of the token port says before it is let in, and what it is answered, as PostgreSQL 18 does it (protocol 3.0 to 3.2). Pure:
 * whole packets come in, and what they are comes out.
 */
import { encodeMessage, REQUEST, STARTUP_BYTES_MAX, STARTUP_BYTES_MIN, type Refusal } from '../postgres/startup-packets.ts';

const MAJOR = 3;
/** The newest minor version that PostgreSQL 18 speaks (PG_PROTOCOL_LATEST). */
const MINOR_MAX = 2;
/** Of a name in PostgreSQL's catalogs, in bytes (NAMEDATALEN - 1). */
const NAME_BYTES_MAX = 63;
/** A token of a ServiceAccount has about 1 KB; with many audiences a few. */
export const PASSWORD_BYTES_MAX = 32 * 1024;

/** AuthenticationCleartextPassword. */
export const ASKS_FOR_PASSWORD = encodeMessage('R', Buffer.from([0, 0, 0, 3]));

export interface Startup {
  readonly minor: number;
  readonly role: string;
  /** All but the role, and but options of the protocol, which PostgreSQL 18 knows none of. Texts are bytes (latin1): they are passed on as they came. */
  readonly parameters: readonly (readonly [string, string])[];
  readonly unknownOptions: readonly string[];
}

export type FirstPacket =
  | { readonly kind: 'ssl' | 'gss' | 'cancel' }
  | { readonly kind: 'startup'; readonly startup: Startup }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

/** Of a packet's first four bytes: how long it is; undefined: it is none. */
export function packetLength(head: Buffer): number | undefined {
  const length = head.readUInt32BE(0);
  return length < STARTUP_BYTES_MIN || length > STARTUP_BYTES_MAX ? undefined : length;
}

/** `content`: what follows the length. */
export function readFirstPacket(content: Buffer): FirstPacket {
  const code = content.readUInt32BE(0);
  if (code === REQUEST.ssl) return { kind: 'ssl' };
  if (code === REQUEST.gss) return { kind: 'gss' };
  if (code === REQUEST.cancel) return { kind: 'cancel' };
  const [major, minor] = [code >>> 16, code & 0xffff];
  if (major !== MAJOR)
    return refused('0A000', `unsupported frontend protocol ${major}.${minor}: server supports ${MAJOR}.0 to ${MAJOR}.${MINOR_MAX}`);
  const texts = content.subarray(4).toString('latin1').split('\0');
  // Pairs, an empty name, and nothing after that.
  const end = texts.findIndex((text, index) => index % 2 === 0 && text === '');
  if (end === -1 || end !== texts.length - 2) return refused('08P01', 'invalid startup packet layout: expected terminator as last byte');
  const pairs = Array.from({ length: end / 2 }, (_, index) => [texts[2 * index] ?? '', texts[2 * index + 1] ?? ''] as const);
  // Of several the last counts, as in PostgreSQL.
  const role = pairs.findLast(([name]) => name === 'user')?.[1] ?? '';
  if (role === '') return refused('28000', 'no PostgreSQL user name specified in startup packet');
  if (role.length > NAME_BYTES_MAX) return refused('28000', `a role's name has at most ${NAME_BYTES_MAX} bytes`);
  const isOption = (name: string): boolean => name.startsWith('_pq_.');
  const named = pairs.some(([name, value]) => name === 'database' && value !== '');
  return {
    kind: 'startup',
    startup: {
      minor,
      role: Buffer.from(role, 'latin1').toString('utf8'),
      parameters: [
        // Which is what PostgreSQL takes where none is named; said, so that nobody has to know of the other's rule.
        ...(named ? [] : [['database', role] as const]),
        ...pairs.filter(([name, value]) => name !== 'user' && !isOption(name) && !(name === 'database' && value === '')),
      ],
      unknownOptions: pairs.map(([name]) => name).filter(isOption),
    },
  };
}

function refused(sqlState: string, message: string): FirstPacket {
  return { kind: 'refused', refusal: { sqlState, message } };
}

/** NegotiateProtocolVersion, where the client asked for what PostgreSQL has not; undefined where it did not. */
export function negotiation({ minor, unknownOptions }: Startup): Buffer | undefined {
  if (minor <= MINOR_MAX && unknownOptions.length === 0) return undefined;
  const head = Buffer.alloc(8);
  head.writeUInt32BE(version(minor), 0);
  head.writeUInt32BE(unknownOptions.length, 4);
  return encodeMessage('v', Buffer.concat([head, Buffer.from(unknownOptions.map((name) => `${name}\0`).join(''), 'latin1')]));
}

const version = (minor: number): number => (MAJOR << 16) | Math.min(minor, MINOR_MAX);

/**
 * The startup packet for PostgreSQL itself. The role is what was checked, and stands there once; the version is the one that was
 * negotiated, so that PostgreSQL has nothing to say about it.
 */
export function encodeStartup({ minor, role, parameters }: Startup): Buffer {
  const texts = [['user', Buffer.from(role, 'utf8').toString('latin1')] as const, ...parameters].flat();
  const content = Buffer.from(`${texts.map((text) => `${text}\0`).join('')}\0`, 'latin1');
  const head = Buffer.alloc(8);
  head.writeUInt32BE(8 + content.length, 0);
  head.writeUInt32BE(version(minor), 4);
  return Buffer.concat([head, content]);
}

/** Of the first five bytes of the answer to {@link ASKS_FOR_PASSWORD}: how many follow; undefined: it is no password. */
export function passwordLength(head: Buffer): number | undefined {
  const length = head.readUInt32BE(1) - 4;
  return head[0] === 0x70 && length >= 1 && length <= PASSWORD_BYTES_MAX ? length : undefined;
}

/** The password; undefined where its bytes are no zero-terminated text. */
export function readPassword(content: Buffer): string | undefined {
  return content.indexOf(0) === content.length - 1 ? content.subarray(0, -1).toString('latin1') : undefined;
}
