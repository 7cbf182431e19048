import { randomBytes, randomUUID } from 'node:crypto';
import type { Clock } from '@kube-aurora/clock';
import { connectKms } from '@kube-aurora/kms';
import { ConfigError, type Config, type Logger } from '@kube-aurora/process';
import type { DAEMON_CONFIG } from './config.ts';
import { DaemonKeys } from './daemon-keys.ts';
import { KeyDirectory } from './key-directory.ts';
import type { HeldKey, KeySource } from './key-source.ts';
import { KmsKeys } from './kms-keys.ts';

type KeySettings = Pick<
  Config<typeof DAEMON_CONFIG>,
  'encryptionKeyFile' | 'encryptionKmsSocket' | 'encryptionBeforeKeyFile' | 'encryptionBeforeKmsSocket' | 'encryptionKmsLookSeconds'
>;

/** Of Linux, without the zero at its end. */
const SOCKET_PATH_BYTES_MAX = 107;

/** What is wrong with the settings, each with its name. */
export function keySettingsProblems(settings: KeySettings): readonly string[] {
  const { encryptionKeyFile, encryptionKmsSocket, encryptionBeforeKeyFile, encryptionBeforeKmsSocket } = settings;
  const none = encryptionKeyFile === undefined && encryptionKmsSocket === undefined;
  const paths = [
    ['--encryption-kms-socket (AURORA_ENCRYPTION_KMS_SOCKET)', encryptionKmsSocket],
    ['--encryption-before-kms-socket (AURORA_ENCRYPTION_BEFORE_KMS_SOCKET)', encryptionBeforeKmsSocket],
  ] as const;
  return [
    ...(encryptionKeyFile !== undefined && encryptionKmsSocket !== undefined
      ? ['--encryption-key-file (AURORA_ENCRYPTION_KEY_FILE): a key is of a file or of a KMS: leave it out, or --encryption-kms-socket']
      : []),
    ...(encryptionBeforeKeyFile !== undefined && encryptionBeforeKmsSocket !== undefined
      ? ['--encryption-before-key-file (AURORA_ENCRYPTION_BEFORE_KEY_FILE): leave it out, or --encryption-before-kms-socket']
      : []),
    ...(none && (encryptionBeforeKeyFile ?? encryptionBeforeKmsSocket) !== undefined
      ? ['--encryption-key-file (AURORA_ENCRYPTION_KEY_FILE): there is a key from before and none that wraps now: give that too']
      : []),
    ...paths.flatMap(([name, path]) => {
      const bytes = Buffer.byteLength(path ?? '');
      return bytes > SOCKET_PATH_BYTES_MAX
        ? [`${name}: a socket's path has at most ${SOCKET_PATH_BYTES_MAX} bytes, and this one ${bytes}: use a shorter directory`]
        : [];
    }),
  ];
}

/** The keys that a daemon is told to have; undefined where it is told of none. Rejects with ConfigError. */
export async function openKeys(
  settings: KeySettings,
  held: readonly HeldKey[],
  clock: Clock,
  logger: Logger,
): Promise<DaemonKeys | undefined> {
  const problems = keySettingsProblems(settings);
  if (problems.length > 0) throw new ConfigError(problems);
  const kms = (socket: string, wraps: boolean): KeySource =>
    new KmsKeys({
      plugin: connectKms(socket, randomUUID),
      wraps,
      lookMs: settings.encryptionKmsLookSeconds * 1000,
      clock,
      random: randomBytes,
      logger,
    });
  const { encryptionKeyFile, encryptionKmsSocket, encryptionBeforeKeyFile, encryptionBeforeKmsSocket } = settings;
  const source = async (file: string | undefined, setting: string, socket: string | undefined, wraps: boolean) => {
    if (file !== undefined) return KeyDirectory.open(file, setting, logger);
    return socket === undefined ? undefined : kms(socket, wraps);
  };
  const wrapping = await source(encryptionKeyFile, '--encryption-key-file (AURORA_ENCRYPTION_KEY_FILE)', encryptionKmsSocket, true);
  if (wrapping === undefined) return undefined;
  const before = await source(
    encryptionBeforeKeyFile,
    '--encryption-before-key-file (AURORA_ENCRYPTION_BEFORE_KEY_FILE)',
    encryptionBeforeKmsSocket,
    false,
  );
  return new DaemonKeys({ sources: { wrapping, before }, held, clock, random: randomBytes, logger });
}
