import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** What runs when a container names an image: the tag and digest do not matter, a registry before the name neither. */
export type ImageProgram = { command: string[]; env?: { [name: string]: string } };
export type ImageMap = ReadonlyMap<string, ImageProgram>;

/** An images file that cannot be used; the text says which entry. */
export class ImageMapError extends Error {}

/**
 * Reads `{"IMAGE": {"command": ["program", "arg"], "env": {"NAME": "value"}}}`. In a command `{node}` stands for the
 * Node that runs local-kube and `{repository}` for the directory above this program's.
 */
export function readImageMap(file: string): ImageMap {
  const images = parseImageMap(JSON.parse(readFileSync(file, 'utf8')), file);
  const filled = (word: string): string => word.replaceAll('{node}', process.execPath).replaceAll('{repository}', REPOSITORY);
  return new Map([...images].map(([name, program]) => [name, { ...program, command: program.command.map(filled) }]));
}

const REPOSITORY = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
/** What this repository's own images run. */
export const DEFAULT_IMAGES = path.join(REPOSITORY, 'local-kube', 'images.json');

export function parseImageMap(value: unknown, from: string): ImageMap {
  if (typeof value !== 'object' || value === null) throw new ImageMapError(`${from}: expected an object of images`);
  const images = new Map<string, ImageProgram>();
  for (const [name, entry] of Object.entries(value)) {
    const { command, env } = entry as { command?: unknown; env?: unknown };
    if (!Array.isArray(command) || command.length === 0 || !command.every((word) => typeof word === 'string'))
      throw new ImageMapError(`${from}: image '${name}' needs "command", a list of texts`);
    if (env !== undefined && (typeof env !== 'object' || env === null || !Object.values(env).every((text) => typeof text === 'string')))
      throw new ImageMapError(`${from}: "env" of image '${name}' must map names to texts`);
    images.set(imageName(name), { command, ...(env === undefined ? {} : { env: env as { [name: string]: string } }) });
  }
  return images;
}

/** `registry.example:5000/team/app:1.2@sha256:…` → `registry.example:5000/team/app`. */
export function imageName(image: string): string {
  return (image.split('@')[0] ?? image).replace(/:[^/:]+$/, '');
}

/** The program of an image, by its whole name or by what is left without the registry. */
export function programOf(images: ImageMap, image: string): ImageProgram | undefined {
  const name = imageName(image);
  return images.get(name) ?? images.get(name.replace(/^[^/]*[.:][^/]*\//, ''));
}
