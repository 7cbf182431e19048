/** The API server refused, or was not reached; the message is for people, `reason` for decisions. */
export class ApiError extends Error {
  /** HTTP status; 0 when there was no answer. */
  readonly code: number;
  /** As in metav1.Status: NotFound, Forbidden … */
  readonly reason: string;

  constructor(code: number, reason: string, message: string, cause?: unknown) {
    super(message, { cause });
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

/** The answer; undefined for what this account may not see: the rest is shown all the same. */
export async function unlessForbidden<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof ApiError && error.code === 403) return undefined;
    throw error;
  }
}
