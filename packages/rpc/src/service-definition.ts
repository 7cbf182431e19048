import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { decodeMessage, encodeMessage } from './message-codec.ts';
import type { ServiceTable } from './message-table.ts';
import { SERVICE_TABLES } from './message-tables.ts';
import type { Messages } from './messages.ts';
import { decodeRedoChunk, encodeRedoChunk } from './wire.ts';

/** The methods of one service as gRPC takes them. */
function serviceDefinition<T extends ServiceTable>(table: T): { readonly [name in keyof T]: MethodDefinition<object, object> } {
  const methods = Object.entries(table).map(([name, { path, request, requestStream, response, responseStream }]) => [
    name,
    {
      path,
      requestStream,
      responseStream,
      requestSerialize: (value: object) => encodeMessage(request, value as Messages[typeof request]),
      requestDeserialize: (bytes: Buffer) => decodeMessage(request, bytes),
      responseSerialize: (value: object) => encodeMessage(response, value as Messages[typeof response]),
      responseDeserialize: (bytes: Buffer) => decodeMessage(response, bytes),
    } satisfies MethodDefinition<object, object>,
  ]);
  return Object.fromEntries(methods) as { readonly [name in keyof T]: MethodDefinition<object, object> };
}

const peerService = serviceDefinition(SERVICE_TABLES.PeerService);

export const SEGMENT_SERVICE: ServiceDefinition = serviceDefinition(SERVICE_TABLES.SegmentService);

export const PEER_SERVICE: ServiceDefinition = {
  ...peerService,
  FetchRedo: { ...peerService.FetchRedo, responseSerialize: encodeRedoChunk, responseDeserialize: decodeRedoChunk },
};
