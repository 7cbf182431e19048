import { setting, type ConfigSchema } from '@kube-aurora/process';
import { IDENTITY_DIR_SETTING } from '@kube-aurora/tls';
import { MEMORY_MIB_DEFAULT, MEMORY_MIB_MIN } from './memory-share.ts';

/** Settings of the storage daemon. */
export const DAEMON_CONFIG = {
  dataDir: { env: 'AURORA_DATA_DIR', description: 'directory of the segments; one daemon at a time', type: setting.text() },
  listen: { env: 'AURORA_LISTEN', description: 'host:port of the gRPC services', type: setting.address('0.0.0.0:7001') },
  framesListen: {
    env: 'AURORA_FRAMES_LISTEN',
    description: 'host:port of redo and page reads, which come from computes in frames (proto/frames.md)',
    type: setting.address('0.0.0.0:7004'),
  },
  metricsListen: {
    env: 'AURORA_METRICS_LISTEN',
    description: 'host:port of /metrics, /healthz, /readyz and /status',
    type: setting.address('0.0.0.0:7002'),
  },
  identityDir: IDENTITY_DIR_SETTING,
  encryptionKeyFile: {
    env: 'AURORA_ENCRYPTION_KEY_FILE',
    description:
      'file with the key (32 bytes, or those in base64) that wraps the data keys of what is stored, looked at while we run; other files beside it may have keys from before. Without a key, of a file or a KMS, nothing is encrypted',
    type: setting.optionalText(),
  },
  encryptionKmsSocket: {
    env: 'AURORA_ENCRYPTION_KMS_SOCKET',
    description: 'in the place of a file: Unix socket of a plugin of Kubernetes’ KMS v2 API, whose key wraps the data keys',
    type: setting.optionalText(),
  },
  encryptionBeforeKeyFile: {
    env: 'AURORA_ENCRYPTION_BEFORE_KEY_FILE',
    description: 'file with the key that wrapped before, and files beside it with others: they unwrap, and wrap nothing',
    type: setting.optionalText(),
  },
  encryptionBeforeKmsSocket: {
    env: 'AURORA_ENCRYPTION_BEFORE_KMS_SOCKET',
    description: 'socket of the plugin whose key wrapped before: it unwraps, and wraps nothing',
    type: setting.optionalText(),
  },
  encryptionKmsLookSeconds: {
    env: 'AURORA_ENCRYPTION_KMS_LOOK_SECONDS',
    description: 'seconds between two questions to a KMS for the id of its key',
    type: setting.integer(1, 3600, 60),
  },
  daemonId: { env: 'AURORA_DAEMON_ID', description: 'this daemon’s id among AURORA_PEERS', type: setting.text() },
  zone: { env: 'AURORA_ZONE', description: 'availability zone it runs in', type: setting.text() },
  peers: { env: 'AURORA_PEERS', description: 'all daemons, this one too, as id=host:port with commas between', type: setting.text() },
  scrubBytesPerSecond: {
    env: 'AURORA_SCRUB_BYTES_PER_SECOND',
    description: 'stored bytes that the scrubber reads back a second; 0 turns it off',
    type: setting.integer(0, 1_000_000_000, 131_072),
  },
  checkpointMib: {
    env: 'AURORA_CHECKPOINT_MIB',
    description: 'redo (MiB) after which pages are written and the log may go',
    type: setting.integer(1, 4096, 48),
  },
  memoryMib: {
    env: 'AURORA_MEMORY_MIB',
    description: 'resident memory (MiB) that the daemon stays within: its caches and queues share what the program itself leaves of it',
    type: setting.integer(MEMORY_MIB_MIN, 65_536, MEMORY_MIB_DEFAULT),
  },
  standInAfterSeconds: {
    env: 'AURORA_STAND_IN_AFTER_SECONDS',
    description: 'time after which a tail takes a copy of the pages, in the place of its zone’s full segment that is away; 0: never',
    type: setting.integer(0, 31_536_000, 600),
  },
  logRetainMib: {
    env: 'AURORA_LOG_RETAIN_MIB',
    description: 'redo (MiB) kept after it is in stored pages, for peers that are behind; beyond it they copy the segment',
    type: setting.integer(64, 1_048_576, 1024),
  },
  diskReserveMib: {
    env: 'AURORA_DISK_RESERVE_MIB',
    description: 'free disk (MiB) below which no redo is taken, a tenth of the disk where that is less; reads and peers are served',
    type: setting.integer(16, 1_048_576, 256),
  },
} satisfies ConfigSchema;
