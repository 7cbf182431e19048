import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The text of a file that a ConfigMap or Secret may hold; undefined when it is not there. */
export async function textOf(directory: string | undefined, name: string): Promise<string | undefined> {
  if (directory === undefined) return undefined;
  try {
    return await readFile(join(directory, name), 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
