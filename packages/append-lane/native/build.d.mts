/** Path of the compiled addon. Throws when there is no C compiler or it fails. */
export function buildAppendLane(options?: { compiler?: string; output?: string }): string;
