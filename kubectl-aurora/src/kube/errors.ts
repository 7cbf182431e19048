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

/** What the caller should have said otherwise: kubectl's exit code for it is 1, and so is ours. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

/** Something else that a person must know, and no fault of this program: a switchover that was refused, say. */
export class FailedError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'FailedError';
  }
}

/** An error as kubectl words it. */
export function inKubectlWords(error: unknown): string {
  if (error instanceof ApiError) return error.code === 0 ? error.message : `Error from server (${error.reason}): ${error.message}`;
  if (error instanceof Error) return `error: ${error.message}`;
  return `error: ${String(error)}`;
}

export function isNotFound(error: unknown): boolean {
  return error instanceof ApiError && error.code === 404;
}
