/** RFC 7386: what makes `before` into `after`. Lists are replaced whole; a field that went is null. */
export function mergePatch(before: object | undefined, after: object): Readonly<Record<string, unknown>> {
  const patch: Record<string, unknown> = {};
  const old: Readonly<Record<string, unknown>> = { ...before };
  const wanted: Readonly<Record<string, unknown>> = { ...after };
  for (const key of Object.keys(old)) if (wanted[key] === undefined) patch[key] = null;
  for (const [key, value] of Object.entries(wanted)) {
    if (value === undefined) continue;
    const previous = old[key];
    patch[key] = isPlainObject(value) ? mergePatch(isPlainObject(previous) ? previous : undefined, value) : value;
  }
  return patch;
}

function isPlainObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
