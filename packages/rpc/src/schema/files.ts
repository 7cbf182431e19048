import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format, type FormatConfig } from 'oxfmt';
import { readSchema, SchemaError, type Schema } from './schema.ts';
import { printMessages, printTables } from './typescript.ts';

/** The files that the schema is read from and written to. */

const ROOT = new URL('../../../../', import.meta.url);
/** In this order: the later ones import the earlier. */
export const PROTO_FILES = ['proto/segment.proto', 'proto/peer.proto'];
/** The protocol as it was last agreed on: whatever this has, later states must go along with. */
const AGREED_FILE = 'proto/agreed.json';

export const pathOf = (file: string): string => fileURLToPath(new URL(file, ROOT));
export const textOf = (file: string): string => readFileSync(pathOf(file), 'utf8');

export const currentSchema = (): Schema => readSchema(PROTO_FILES.map(textOf));
export const agreedSchema = (): Schema => JSON.parse(textOf(AGREED_FILE)) as Schema;

/** Comments are no part of what is agreed on. */
function printAgreed(schema: Schema): string {
  return `${JSON.stringify(schema, (key, value: unknown) => (key === 'comment' ? undefined : value), 2)}\n`;
}

/** Every file that is made from the schema, as the formatter of the repository leaves it. */
export function generatedFiles(schema: Schema): Promise<{ readonly file: string; readonly text: string }[]> {
  const { ignorePatterns: _ignored, ...options } = JSON.parse(textOf('.oxfmtrc.json')) as FormatConfig & { ignorePatterns?: string[] };
  const files = [
    { file: 'packages/rpc/src/messages.ts', text: printMessages(schema) },
    { file: 'packages/rpc/src/message-tables.ts', text: printTables(schema) },
    { file: AGREED_FILE, text: printAgreed(schema) },
  ];
  return Promise.all(
    files.map(async ({ file, text }) => {
      const { code, errors } = await format(file, text, options);
      if (errors.length > 0) throw new SchemaError(`${file}: does not parse: ${errors[0]?.message ?? ''}`);
      return { file, text: code };
    }),
  );
}
