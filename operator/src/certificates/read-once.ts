/**
 * What was read of an object that nobody changes in place, kept for as long as the object: caches give the same Secret look after look, and
 * certificates and keys take a while to read.
 */
export function readOnce<K extends WeakKey, V>(read: (of: K) => V): (of: K) => V {
  const known = new WeakMap<K, { readonly value: V }>();
  return (of) => {
    const found = known.get(of);
    if (found !== undefined) return found.value;
    const value = read(of);
    known.set(of, { value });
    return value;
  };
}
