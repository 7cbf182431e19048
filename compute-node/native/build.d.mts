/** Path of the compiled shim. Throws when there is no C compiler or it fails. */
export function buildShim(options?: { compiler?: string; output?: string }): string;
