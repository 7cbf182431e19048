import { Metadata, status, type ServiceError } from '@grpc/grpc-js';

/** What went wrong between compute and storage; the list and its meaning stand in proto/segment.proto. */
export type AuroraErrorCode =
  | 'FENCED'
  | 'EPOCH_TAKEN'
  | 'NOT_READY'
  | 'BEHIND'
  | 'TOO_OLD'
  | 'DAMAGED'
  | 'INVALID'
  | 'NO_PAGES'
  | 'REFUSED'
  | 'UNREACHABLE'
  | 'DEADLINE'
  | 'INTERNAL';

const GRPC_STATUS: Record<AuroraErrorCode, status> = {
  FENCED: status.ABORTED,
  EPOCH_TAKEN: status.ABORTED,
  NOT_READY: status.UNAVAILABLE,
  BEHIND: status.UNAVAILABLE,
  TOO_OLD: status.OUT_OF_RANGE,
  DAMAGED: status.DATA_LOSS,
  INVALID: status.INVALID_ARGUMENT,
  NO_PAGES: status.FAILED_PRECONDITION,
  REFUSED: status.FAILED_PRECONDITION,
  UNREACHABLE: status.UNAVAILABLE,
  DEADLINE: status.DEADLINE_EXCEEDED,
  INTERNAL: status.INTERNAL,
};

const ERROR_KEY = 'aurora-error';

/** An answer that is not a result, on either side of the wire. */
export class AuroraRpcError extends Error {
  readonly code: AuroraErrorCode;
  /** Which rule a refusal rests on, for the refuser's metrics; not sent. */
  readonly reason: string;
  constructor(code: AuroraErrorCode, message: string, reason = code === 'INVALID' ? 'malformed' : '') {
    super(message);
    this.name = 'AuroraRpcError';
    this.code = code;
    this.reason = reason;
  }
}

function isErrorCode(text: unknown): text is AuroraErrorCode {
  return typeof text === 'string' && Object.hasOwn(GRPC_STATUS, text);
}

/** For servers: what grpc-js wants in a callback or in `call.destroy`. Errors of our own code become INTERNAL. */
export function toServiceError(error: unknown): Partial<ServiceError> & { code: status; details: string; metadata: Metadata } {
  const known = error instanceof AuroraRpcError ? error : undefined;
  const code = known?.code ?? 'INTERNAL';
  const metadata = new Metadata();
  metadata.set(ERROR_KEY, code);
  const message = error instanceof Error ? error.message : String(error);
  return { name: 'AuroraRpcError', message, code: GRPC_STATUS[code], details: message, metadata };
}

/** For clients: reads the typed code back; without one, the gRPC status says whether the peer was reached. */
export function fromServiceError(error: unknown, peer: string): AuroraRpcError {
  if (error instanceof AuroraRpcError) return error;
  if (!(error instanceof Error)) return new AuroraRpcError('INTERNAL', `${peer}: ${String(error)}`);
  const { code, details, metadata } = error as Partial<ServiceError> & Error;
  const message = `${peer}: ${details ?? error.message}`;
  const named = metadata?.get(ERROR_KEY)[0];
  if (isErrorCode(named)) return new AuroraRpcError(named, message);
  if (code === status.DEADLINE_EXCEEDED) return new AuroraRpcError('DEADLINE', message);
  if (code === status.UNAVAILABLE || code === status.CANCELLED) return new AuroraRpcError('UNREACHABLE', message);
  return new AuroraRpcError('INTERNAL', message);
}
