/**
 * A kubectl that runs: the one on the PATH, else the one of the npm package. `own` asks for the package's. Throws when
 * there is neither.
 */
export function kubectlPath(options?: { own?: boolean }): string;
/** Helm, out of the same package. */
export function helmPath(): string;
/** One entry of a zip archive. */
export function unzipEntry(archive: string, entry: string): Buffer;
