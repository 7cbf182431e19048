import { FrameError } from './frame-error.ts';
import { MAGIC, VERSION, VERSION_MIN } from './frame-types.ts';
import { LAYOUTS } from './layouts.ts';

/** What each end says first, and what the two come to. */
export interface Hello {
  readonly version: number;
  /** The oldest version that the sender still speaks. */
  readonly versionMin: number;
  /** One bit for each thing that may be left out; none so far. Unknown ones are passed over. */
  readonly features: number;
  /** Silence, in milliseconds, after which the sender asks whether anybody is there. */
  readonly heartbeatMs: number;
  /** Streams that the sender lets the other end have open at once; what a client says here is not used. */
  readonly streamsMax: number;
  /** Bytes that the sender takes on a stream before it grants more. */
  readonly windowBytes: number;
}

export interface HelloOptions {
  readonly heartbeatMs: number;
  readonly streamsMax: number;
  readonly windowBytes: number;
}

/** What both ends go by from here on. */
export interface Agreement {
  readonly version: number;
  readonly features: number;
  readonly heartbeatMs: number;
  /** As the other end said. */
  readonly streamsMax: number;
  readonly windowBytes: number;
}

const FEATURES = 0;
const HEARTBEAT_MS = [100, 600_000] as const;
const STREAMS_MAX = [1, 1_000_000] as const;
/** At least two of the largest frames: a sender can always send one, and the receiver grants by halves. */
const WINDOW_BYTES = [256 * 1024, 1024 * 1024 * 1024] as const;

export function ownHello(options: HelloOptions): Hello {
  return { version: VERSION, versionMin: VERSION_MIN, features: FEATURES, ...options };
}

export function encodeHello(hello: Hello): Buffer {
  const { hello: at } = LAYOUTS;
  const out = Buffer.allocUnsafe(at.size);
  at.magic.set(out, MAGIC);
  at.version.set(out, hello.version);
  at.versionMin.set(out, hello.versionMin);
  at.features.set(out, hello.features);
  at.heartbeatMs.set(out, hello.heartbeatMs);
  at.streamsMax.set(out, hello.streamsMax);
  at.windowBytes.set(out, hello.windowBytes);
  return out;
}

/** Throws FrameError MALFORMED that names the field. The magic has been looked at. */
export function decodeHello(bytes: Buffer): Hello {
  const { hello: at } = LAYOUTS;
  const hello = {
    version: at.version.get(bytes),
    versionMin: at.versionMin.get(bytes),
    features: at.features.get(bytes),
    heartbeatMs: at.heartbeatMs.get(bytes),
    streamsMax: at.streamsMax.get(bytes),
    windowBytes: at.windowBytes.get(bytes),
  };
  const inside = (name: keyof Hello, [min, max]: readonly [number, number]): void => {
    if (hello[name] < min || hello[name] > max)
      throw new FrameError('MALFORMED', `hello.${name}: ${hello[name]} is not from ${min} to ${max}`);
  };
  // A later version may have other limits: that the two have none in common is said first.
  if (common(hello) === undefined) return hello;
  inside('heartbeatMs', HEARTBEAT_MS);
  inside('streamsMax', STREAMS_MAX);
  inside('windowBytes', WINDOW_BYTES);
  return hello;
}

/** The highest version that both speak. */
function common(other: Hello): number | undefined {
  const version = Math.min(VERSION, other.version);
  return version < Math.max(VERSION_MIN, other.versionMin) ? undefined : version;
}

/** Throws FrameError VERSION when there is none in common. */
export function agree(own: Hello, other: Hello): Agreement {
  const version = common(other);
  if (version === undefined) {
    const range = ({ versionMin, version: newest }: Hello): string => (versionMin === newest ? `${newest}` : `${versionMin} to ${newest}`);
    throw new FrameError(
      'VERSION',
      `hello.version: this end speaks version ${range(own)} of the frames, the other ${range(other)}; upgrade one of them`,
    );
  }
  return {
    version,
    features: own.features & other.features,
    heartbeatMs: Math.min(own.heartbeatMs, other.heartbeatMs),
    streamsMax: other.streamsMax,
    windowBytes: other.windowBytes,
  };
}
