export { ClientConnection } from './client-connection.ts';
export type { ClientStream, ClientStreamOwner } from './client-stream.ts';
export { FIRST_MESSAGE_BYTES_MAX, FRAME_BYTES } from './frame-types.ts';
export { FrameError, type FrameErrorReason } from './frame-error.ts';
export type { HelloOptions } from './hello.ts';
export { layout, u32, u64 } from './layout.ts';
export { LAYOUTS } from './layouts.ts';
export { ServerConnection, type Opening } from './server-connection.ts';
export type { ServerStream, ServerStreamOwner } from './server-stream.ts';
