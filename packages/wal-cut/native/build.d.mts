/** Path of the compiled addon. Throws when there is no C compiler or it fails. */
export function buildWalCut(options?: { compiler?: string; output?: string }): string;

/** What a program of a test is compiled of, beside its own source: all but the addon, with the sanitizers' flags. */
export function sanitizedSources(): string[];
