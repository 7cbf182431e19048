import {
  decodeAppendHello,
  decodeAppendRequest,
  decodeAppendResponse,
  decodeFollowedRedo,
  decodeFollowHello,
  decodeFollowRequest,
  decodeGetPagesRequest,
  decodeGetPagesResponse,
  decodeLeaseAnswer,
  decodeLeaseRequest,
  encodeAppendHello,
  encodeAppendRequest,
  encodeAppendResponse,
  encodeFollowedHead,
  encodeFollowHello,
  encodeFollowRequest,
  encodeGetPagesRequest,
  encodeLeaseAnswer,
  encodeLeaseRequest,
  encodePagesHead,
  type AppendRequest,
  type AppendResponse,
  type FollowedRedo,
  type FollowRequest,
  type GetPagesRequest,
  type GetPagesResponse,
  type LeaseAnswer,
  type PreparedAppend,
  type RenewLeaseRequest,
  type SEGMENT_SERVICE,
} from '@kube-aurora/rpc';

/** Messages on their way over the simulated network: each through the codec that ships, there and back. */

/** Of the messages that go over frames, what encodes and decodes them. */
const HOT = {
  Append: {
    request: (message: AppendRequest | PreparedAppend): AppendRequest => {
      if (Buffer.isBuffer(message)) return decodeAppendRequest(Buffer.from(message));
      const { hello, batches, vdl, pgmrpl } = message;
      if (hello !== undefined) return decodeAppendHello(encodeAppendHello(hello, vdl, pgmrpl));
      return decodeAppendRequest(encodeAppendRequest(batches === undefined ? [] : [batches], vdl, pgmrpl));
    },
    response: (message: AppendResponse): AppendResponse => decodeAppendResponse(encodeAppendResponse(message)),
  },
  Follow: {
    request: (message: FollowRequest): FollowRequest => {
      const { hello, takenLsn, readFloor } = message;
      if (hello !== undefined) return decodeFollowHello(encodeFollowHello(hello, takenLsn, readFloor));
      return decodeFollowRequest(encodeFollowRequest(message));
    },
    response: (message: FollowedRedo): FollowedRedo =>
      decodeFollowedRedo(Buffer.concat([encodeFollowedHead(message), message.batches ?? Buffer.alloc(0)])),
  },
  GetPages: {
    request: (message: GetPagesRequest): GetPagesRequest => decodeGetPagesRequest(encodeGetPagesRequest(message)),
    response: (message: GetPagesResponse): GetPagesResponse => decodeGetPagesResponse([encodePagesHead(message), ...message.pages]),
  },
  RenewLease: {
    request: (message: RenewLeaseRequest): RenewLeaseRequest => decodeLeaseRequest(encodeLeaseRequest(message)),
    response: (message: LeaseAnswer): LeaseAnswer => decodeLeaseAnswer(encodeLeaseAnswer(message)),
  },
};

type Method = 'requestSerialize' | 'requestDeserialize' | 'responseSerialize' | 'responseDeserialize';

const isHot = (name: string): name is keyof typeof HOT => Object.hasOwn(HOT, name);

/** A message as it comes out at the other end. */
export function carried<T>(service: typeof SEGMENT_SERVICE, name: string, direction: 'request' | 'response', message: unknown): T {
  if (isHot(name)) return HOT[name][direction](message as never) as T;
  const method = service[name];
  if (method === undefined) throw new RangeError(`no method ${name}`);
  const encode = method[`${direction}Serialize` as Method] as (value: unknown) => Buffer;
  const decode = method[`${direction}Deserialize` as Method] as (bytes: Buffer) => T;
  return decode(Buffer.from(encode(message)));
}
