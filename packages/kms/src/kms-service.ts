import type { MethodDefinition } from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';

/**
 * Kubernetes' KMS v2 plugin API (k8s.io/kms, apis/v2/api.proto), which plugins for the KMSs of AWS, Google and Azure, Vault, PKCS#11 and
 * others speak: names and numbers are that file's.
 */
export interface StatusResponse {
  readonly version: string;
  readonly healthz: string;
  readonly key_id: string;
}
export interface EncryptRequest {
  readonly plaintext: Buffer;
  readonly uid: string;
}
export interface EncryptResponse {
  readonly ciphertext: Buffer;
  readonly key_id: string;
  readonly annotations: Readonly<Record<string, Buffer>>;
}
export interface DecryptRequest {
  readonly ciphertext: Buffer;
  readonly uid: string;
  readonly key_id: string;
  readonly annotations: Readonly<Record<string, Buffer>>;
}
export interface DecryptResponse {
  readonly plaintext: Buffer;
}

export interface KmsService {
  readonly Status: MethodDefinition<object, StatusResponse>;
  readonly Encrypt: MethodDefinition<EncryptRequest, EncryptResponse>;
  readonly Decrypt: MethodDefinition<DecryptRequest, DecryptResponse>;
}

const field = (type: string, id: number): { readonly type: string; readonly id: number } => ({ type, id });
const annotations = (id: number): object => ({ keyType: 'string', type: 'bytes', id });
const rpc = (name: string): object => ({ requestType: `${name}Request`, responseType: `${name}Response` });

const DESCRIPTOR = {
  nested: {
    v2: {
      nested: {
        KeyManagementService: { methods: { Status: rpc('Status'), Encrypt: rpc('Encrypt'), Decrypt: rpc('Decrypt') } },
        StatusRequest: { fields: {} },
        StatusResponse: { fields: { version: field('string', 1), healthz: field('string', 2), key_id: field('string', 3) } },
        EncryptRequest: { fields: { plaintext: field('bytes', 1), uid: field('string', 2) } },
        EncryptResponse: { fields: { ciphertext: field('bytes', 1), key_id: field('string', 2), annotations: annotations(3) } },
        DecryptRequest: {
          fields: { ciphertext: field('bytes', 1), uid: field('string', 2), key_id: field('string', 3), annotations: annotations(4) },
        },
        DecryptResponse: { fields: { plaintext: field('bytes', 1) } },
      },
    },
  },
};

/** The service as gRPC takes it. */
export function kmsService(): KmsService {
  // Its type knows no package inside a package.
  const definition = fromJSON(DESCRIPTOR as unknown as Parameters<typeof fromJSON>[0], { keepCase: true, defaults: true });
  return definition['v2.KeyManagementService'] as unknown as KmsService;
}
