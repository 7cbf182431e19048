/** Path of the compiled addon; under the sanitizers where `isSanitized`. Throws when there is no C compiler or it fails. */
export function buildAppendLane(options?: { isSanitized?: boolean; compiler?: string; output?: string }): string;
