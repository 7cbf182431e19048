import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';
import { MUTATIONS } from './mutations/all.ts';
import type { Edit } from './mutations/mutation.ts';

/** Loaded before a simulation (`node --import`): breaks the rule that AURORA_MUTATION names, in this process alone. */

const name = process.env['AURORA_MUTATION'] ?? '';
const mutation = MUTATIONS.find((one) => one.name === name);
if (mutation === undefined) throw new RangeError(`AURORA_MUTATION='${name}' is none of ${MUTATIONS.map((one) => one.name).join(', ')}`);
const editsOf = new Map<string, Edit[]>();
for (const edit of mutation.edits) {
  const { href } = pathToFileURL(new URL(`../../${edit.file}`, import.meta.url).pathname);
  editsOf.set(href, [...(editsOf.get(href) ?? []), edit]);
}

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    let source: string | undefined;
    for (const { file, find, replace } of editsOf.get(url) ?? []) {
      source ??= String(loaded.source instanceof Uint8Array ? Buffer.from(loaded.source) : loaded.source);
      if (source.split(find).length !== 2) throw new Error(`${file} does not have this exactly once: ${find}`);
      source = source.replace(find, () => replace);
    }
    return source === undefined ? loaded : { ...loaded, source };
  },
});
