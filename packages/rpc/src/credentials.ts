import { ChannelCredentials, ServerCredentials } from '@grpc/grpc-js';

/** How a process proves who it is, to those it calls and to those who call it. The two ends of a connection need a matching pair. */
export interface Credentials {
  readonly client: ChannelCredentials;
  readonly server: ServerCredentials;
}

/** Neither encrypted nor proven: for a network that only the cluster's own pods reach. */
export const PLAIN_TEXT: Credentials = {
  client: ChannelCredentials.createInsecure(),
  server: ServerCredentials.createInsecure(),
};
