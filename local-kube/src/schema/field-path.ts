/** Where a value stands, as messages write it: `spec.instances[0].name`. */
export type FieldPath = string;

export function child(path: FieldPath, key: string): FieldPath {
  const plain = /^[A-Za-z_$][\w$-]*$/.test(key);
  if (!plain) return `${path}[${key}]`;
  return path === '' ? key : `${path}.${key}`;
}
