import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';
import { MUTATIONS } from './mutations.ts';

/** Loaded before a simulation (`node --import`): breaks the rule that AURORA_MUTATION names, in this process alone. */

const name = process.env['AURORA_MUTATION'] ?? '';
const mutation = MUTATIONS.find((one) => one.name === name);
if (mutation === undefined) throw new RangeError(`AURORA_MUTATION='${name}' is none of ${MUTATIONS.map((one) => one.name).join(', ')}`);
const { file, find, replace } = mutation;
const target = pathToFileURL(new URL(`../../${file}`, import.meta.url).pathname).href;

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (url !== target) return loaded;
    const source = String(loaded.source instanceof Uint8Array ? Buffer.from(loaded.source) : loaded.source);
    if (source.split(find).length !== 2) throw new Error(`${file} does not have this exactly once: ${find}`);
    return { ...loaded, source: source.replace(find, () => replace) };
  },
});
