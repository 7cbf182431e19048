export * from './api.ts';
export { APPEND_PART_BYTES } from './append-parts.ts';
export * from './errors.ts';
export * from './messages.ts';
export * from './client.ts';
export * from './server.ts';
export { encodeAppendRequest, joinAppendRequests, WireError } from './wire.ts';
export { PEER_SERVICE, SEGMENT_SERVICE, type PreparedAppend } from './service-definition.ts';
