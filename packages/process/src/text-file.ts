import { readFile } from 'node:fs/promises';

/** The text of a file that a ConfigMap or Secret may hold; undefined when it is not there. */
export async function textOfFile(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
