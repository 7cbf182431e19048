import { ApiError } from '@kube-aurora/kube-http';

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
