import { join } from 'node:path';
import { textOfFile } from '@kube-aurora/process';

/** The text of a file of a directory that may be mounted; undefined when either is not there. */
export async function textOf(directory: string | undefined, name: string): Promise<string | undefined> {
  return directory === undefined ? undefined : textOfFile(join(directory, name));
}
