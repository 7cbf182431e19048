import { ENCRYPTION_DIR, KMS_DIR } from '../api/names.ts';
import type { AuroraCluster, EncryptionKeySource, KmsSpec } from '../api/types.ts';
import type { Container, PodVolume, Sidecar } from '../kube/objects.ts';
import { withoutRights } from './pod-parts.ts';

/** Parts of a storage pod by which its daemon has the keys that wrap what it encrypts with; nothing where nothing is encrypted. */
interface EncryptionParts {
  readonly env: Readonly<Record<string, string>>;
  readonly volumes: readonly PodVolume[];
  readonly mounts: NonNullable<Container['volumeMounts']>;
  readonly sidecars: readonly Sidecar[];
}

/** What stands for a key that wraps, and for one from before. */
interface Names {
  /** Of volumes and containers. */
  readonly suffix: '' | '-before';
  readonly keyFile: string;
  readonly kmsSocket: string;
}
const WRAPS: Names = { suffix: '', keyFile: 'AURORA_ENCRYPTION_KEY_FILE', kmsSocket: 'AURORA_ENCRYPTION_KMS_SOCKET' };
const BEFORE: Names = {
  suffix: '-before',
  keyFile: 'AURORA_ENCRYPTION_BEFORE_KEY_FILE',
  kmsSocket: 'AURORA_ENCRYPTION_BEFORE_KMS_SOCKET',
};

const NOTHING: EncryptionParts = { env: {}, volumes: [], mounts: [], sidecars: [] };

export function encryptionParts({ spec }: AuroraCluster): EncryptionParts {
  const { key, before } = spec.storage.encryption ?? {};
  const [one, other] = [sourceParts(key, WRAPS), sourceParts(before, BEFORE)];
  return {
    env: { ...one.env, ...other.env },
    volumes: [...one.volumes, ...other.volumes],
    mounts: [...one.mounts, ...other.mounts],
    sidecars: [...one.sidecars, ...other.sidecars],
  };
}

function sourceParts(source: EncryptionKeySource | undefined, names: Names): EncryptionParts {
  if (source?.secret !== undefined) return secretParts(source.secret, names);
  return source?.kms === undefined ? NOTHING : kmsParts(source.kms, names);
}

function secretParts(secret: NonNullable<EncryptionKeySource['secret']>, { suffix, keyFile }: Names): EncryptionParts {
  // The path names the Secret: a daemon's words about its key do so too.
  const mountPath = `${ENCRYPTION_DIR}${suffix}/${secret.name}`;
  const name = `encryption${suffix}`;
  return {
    ...NOTHING,
    env: { [keyFile]: `${mountPath}/${secret.key}` },
    volumes: [{ name, secret: { secretName: secret.name, defaultMode: 0o440 } }],
    mounts: [{ name, mountPath, readOnly: true }],
  };
}

/** Where the plugin finds files of its Secret, and the token. */
const PLUGIN_FILES = '/etc/kms-plugin';
const PLUGIN_TOKEN_DIR = '/var/run/kms-plugin';
const TOKEN_SECONDS = 3600;

/** The plugin is a sidecar of the pod (an init container that goes on): it is there before the daemon, and after it. They share a socket in an emptyDir. */
function kmsParts(kms: KmsSpec, { suffix, kmsSocket }: Names): EncryptionParts {
  const directory = `${KMS_DIR}${suffix}`;
  const socket = { name: `kms${suffix}`, mountPath: directory };
  const path = `${directory}/kms.sock`;
  const files = { name: `kms${suffix}-files`, mountPath: PLUGIN_FILES, readOnly: true };
  const token = { name: `kms${suffix}-token`, mountPath: PLUGIN_TOKEN_DIR, readOnly: true };
  const { image, command, args, env = [], secret, serviceAccountToken, resources } = kms;
  return {
    env: { [kmsSocket]: path },
    mounts: [socket],
    volumes: [
      { name: socket.name, emptyDir: { sizeLimit: '1Mi' } },
      ...(secret === undefined ? [] : [{ name: files.name, secret: { secretName: secret.name, defaultMode: 0o440 } }]),
      ...(serviceAccountToken === undefined
        ? []
        : [
            {
              name: token.name,
              projected: {
                defaultMode: 0o440,
                sources: [
                  { serviceAccountToken: { path: 'token', audience: serviceAccountToken.audience, expirationSeconds: TOKEN_SECONDS } },
                ],
              },
            },
          ]),
    ],
    sidecars: [
      {
        name: `kms${suffix}`,
        image,
        restartPolicy: 'Always',
        terminationMessagePolicy: 'FallbackToLogsOnError',
        ...(command === undefined ? {} : { command }),
        ...(args === undefined ? {} : { args }),
        // First: arguments and later variables refer to it.
        env: [{ name: 'KMS_SOCKET', value: path }, ...env],
        volumeMounts: [socket, ...(secret === undefined ? [] : [files]), ...(serviceAccountToken === undefined ? [] : [token])],
        ...(resources === undefined ? {} : { resources }),
        securityContext: withoutRights,
      },
    ],
  };
}
