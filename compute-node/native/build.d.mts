/** Path of the compiled shim. Throws when there is no C compiler or it fails. */
export function buildShim(options?: { compiler?: string; output?: string }): string;
/** What to preload to run the shim under the sanitizers, in order; the shim is the last. */
export function buildSanitizedShim(options?: { compiler?: string; output?: string }): string[];
/** Compiler flags: AddressSanitizer and UndefinedBehaviorSanitizer; a finding ends the process. */
export const SANITIZERS: string[];
