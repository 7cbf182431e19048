import type { Cause } from '../schema/cause.ts';
import type { JsonObject } from '../store/object.ts';

export type StatusDetails = { name?: string; group?: string; kind?: string; uid?: string; causes?: Cause[]; retryAfterSeconds?: number };

/**
 * A refusal, carried to the client as a metav1.Status.
 * https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
 */
export class ApiError extends Error {
  readonly code: number;
  readonly reason: string;
  readonly details: StatusDetails | undefined;

  constructor(code: number, reason: string, message: string, details?: StatusDetails) {
    super(message);
    this.name = 'ApiError';
    this.code = code;
    this.reason = reason;
    this.details = details;
  }

  status(): JsonObject {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message,
      reason: this.reason,
      ...(this.details === undefined ? {} : { details: this.details as JsonObject }),
      code: this.code,
    };
  }
}

/** `pods` or `auroraclusters.kube-aurora.dev`, as messages name resources. */
export function groupResource(group: string, plural: string): string {
  return group === '' ? plural : `${plural}.${group}`;
}

export const refuse = {
  notFound: (group: string, plural: string, name: string) =>
    new ApiError(404, 'NotFound', `${groupResource(group, plural)} "${name}" not found`, { name, group, kind: plural }),
  noSuchPath: () => new ApiError(404, 'NotFound', 'the server could not find the requested resource'),
  alreadyExists: (group: string, plural: string, name: string) =>
    new ApiError(409, 'AlreadyExists', `${groupResource(group, plural)} "${name}" already exists`, { name, group, kind: plural }),
  conflict: (group: string, plural: string, name: string, why: string) =>
    new ApiError(409, 'Conflict', `Operation cannot be fulfilled on ${groupResource(group, plural)} "${name}": ${why}`, {
      name,
      group,
      kind: plural,
    }),
  stale: (group: string, plural: string, name: string) =>
    refuse.conflict(group, plural, name, 'the object has been modified; please apply your changes to the latest version and try again'),
  badRequest: (message: string) => new ApiError(400, 'BadRequest', message),
  forbidden: (group: string, plural: string, name: string, why: string) =>
    new ApiError(403, 'Forbidden', `${groupResource(group, plural)} "${name}" is forbidden: ${why}`, { name, group, kind: plural }),
  invalid: (group: string, kind: string, name: string, causes: Cause[]) => {
    const told = causes.map((cause) => `${cause.field ?? ''}: ${cause.message}`);
    const shown = told.length === 1 ? (told[0] ?? '') : `[${told.join(', ')}]`;
    const full = group === '' ? kind : `${kind}.${group}`;
    return new ApiError(422, 'Invalid', `${full} "${name}" is invalid: ${shown}`, { name, group, kind, causes });
  },
  /** A budget does not let a pod go now. `retryAfterSeconds` 0 leaves the pace to the client. */
  disruption: (why: string, retryAfterSeconds: number) =>
    new ApiError(429, 'TooManyRequests', "Cannot evict pod as it would violate the pod's disruption budget.", {
      causes: [{ reason: 'DisruptionBudget', message: why }],
      ...(retryAfterSeconds > 0 ? { retryAfterSeconds } : {}),
    }),
  expired: (asked: number, oldest: number) => new ApiError(410, 'Expired', `too old resource version: ${asked} (${oldest})`),
  methodNotAllowed: () => new ApiError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource'),
  unsupportedMediaType: (what: string) =>
    new ApiError(415, 'UnsupportedMediaType', `the body of the request was in an unknown format - accepted media types include: ${what}`),
};
