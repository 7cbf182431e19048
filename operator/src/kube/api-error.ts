/**
 * An API server's refusal, or its silence (code 0). `reason` is Kubernetes' own word (NotFound, AlreadyExists, Conflict
 * …).
 */
export class ApiError extends Error {
  readonly code: number;
  readonly reason: string;

  constructor(what: string, code: number, reason: string, message: string, cause?: unknown) {
    super(`${what}: ${message}`, cause === undefined ? undefined : { cause });
    this.name = 'ApiError';
    this.code = code;
    this.reason = reason;
  }
}

export function isNotFound(error: unknown): boolean {
  return error instanceof ApiError && error.code === 404;
}

/** Someone else was first: the object exists, or has another version, or another uid than the one meant. */
export function isConflict(error: unknown): boolean {
  return error instanceof ApiError && error.code === 409;
}

/** Worth trying again with nothing changed: the server was not reached, is overloaded or failed. */
export function isTransient(error: unknown): boolean {
  return error instanceof ApiError && (error.code === 0 || error.code === 401 || error.code === 429 || error.code >= 500);
}
