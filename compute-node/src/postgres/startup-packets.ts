/** What a client of PostgreSQL says first, and what it hears when it is not let in (protocol 3, "Start-up"). Pure. */

/** The longest startup packet that PostgreSQL itself reads (MAX_STARTUP_PACKET_LENGTH). */
export const STARTUP_BYTES_MAX = 10_000;
/** Its length and its code. */
export const STARTUP_BYTES_MIN = 8;

/** Codes that stand where a startup packet has its protocol version. */
export const REQUEST = { cancel: 80_877_102, ssl: 80_877_103, gss: 80_877_104 } as const;

/** Why somebody is not let in, as their driver is told. */
export interface Refusal {
  readonly sqlState: string;
  readonly message: string;
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
}

/** ErrorResponse: 'E', length, fields of a type byte and a zero-terminated text, a zero. */
export function encodeFatal({ sqlState, message, detail, hint }: Refusal): Buffer {
  const fields = ['SFATAL', 'VFATAL', `C${sqlState}`, `M${message}`];
  if (detail !== undefined) fields.push(`D${detail}`);
  if (hint !== undefined) fields.push(`H${hint}`);
  return encodeMessage('E', Buffer.from(`${fields.map((field) => `${field.replaceAll('\0', '')}\0`).join('')}\0`, 'utf8'));
}

/** A message of the server's: its type, its length from there on, its content. */
export function encodeMessage(type: string, content: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeUInt32BE(4 + content.length, 1);
  return Buffer.concat([head, content]);
}
