/**
 * A KMS plugin: a program of its own that speaks Kubernetes' KMS v2 API at a Unix socket and encrypts with AES-256-GCM, by keys out of a
 * file. It reads that file at every request, so that a test can rotate its keys and have it misbehave while it runs.
 *
 *   node test/kms-plugin/main.ts SOCKET FILE     FILE: {"current": "k1", "keys": {"k1": "64 hex digits"}, "fault": "lies"}
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Server, ServerCredentials, status, type handleUnaryCall, type ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { KmsState } from './kms-state.ts';

const [socket = '', file = ''] = process.argv.slice(2);
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

interface Encrypted {
  readonly ciphertext: Buffer;
  readonly key_id: string;
  readonly annotations: Readonly<Record<string, Buffer>>;
}

const stateNow = (): KmsState => JSON.parse(readFileSync(file, 'utf8')) as KmsState;

function keyOf({ keys }: KmsState, id: string): Buffer {
  const key = keys[id];
  if (key === undefined) throw new Error(`key '${id}' is not in this KMS`);
  return Buffer.from(key, 'hex');
}

function encrypt(state: KmsState, plaintext: Buffer): Encrypted {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', keyOf(state, state.current), nonce);
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
  const answer = { ciphertext, key_id: state.current, annotations: { 'nonce.kms-plugin.test': nonce } };
  if (state.fault === 'names another key') return { ...answer, key_id: 'another' };
  if (state.fault === 'says too much') return { ...answer, ciphertext: Buffer.alloc(1025, 1) };
  return answer;
}

function decrypt(state: KmsState, { ciphertext, key_id, annotations }: Encrypted): { readonly plaintext: Buffer } {
  const nonce = annotations['nonce.kms-plugin.test'] ?? Buffer.alloc(NONCE_BYTES);
  const cipher = createDecipheriv('aes-256-gcm', keyOf(state, key_id), nonce);
  cipher.setAuthTag(ciphertext.subarray(ciphertext.length - TAG_BYTES));
  const plaintext = Buffer.concat([cipher.update(ciphertext.subarray(0, ciphertext.length - TAG_BYTES)), cipher.final()]);
  if (state.fault === 'lies') return { plaintext: randomBytes(plaintext.length) };
  if (state.fault === 'says too much') return { plaintext: Buffer.alloc(300 * 1024) };
  if (state.fault === 'says too little') return { plaintext: plaintext.subarray(1) };
  return { plaintext };
}

function answering<Request, Response>(answer: (state: KmsState, request: Request) => Response): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    const state = stateNow();
    const answerNow = (): void => {
      try {
        if (state.fault === 'refuses') callback({ code: status.PERMISSION_DENIED, details: 'AccessDeniedException: not with this role' });
        else callback(null, answer(state, call.request));
      } catch (error) {
        callback({ code: status.INVALID_ARGUMENT, details: String(error) });
      }
    };
    if (state.fault === 'is slow') void delay(150).then(answerNow);
    else answerNow();
  };
}

const definition = loadSync(fileURLToPath(new URL('api.proto', import.meta.url)), { keepCase: true, defaults: true });
const service = definition['v2.KeyManagementService'] as ServiceDefinition;
const decryptMethod = service['Decrypt'];
if (decryptMethod === undefined) throw new Error('the service has no Decrypt');
const garbled: ServiceDefinition = {
  ...service,
  Decrypt: {
    ...decryptMethod,
    // Bytes that are no message.
    responseSerialize: (value: unknown) =>
      stateNow().fault === 'is garbled' ? Buffer.from([0x0a, 0xff, 0x01]) : decryptMethod.responseSerialize(value),
  },
};
const server = new Server();
server.addService(garbled, {
  Status: answering((state: KmsState) => ({
    version: 'v2',
    healthz: state.fault === 'is unwell' ? 'vault is sealed' : 'ok',
    key_id: state.current,
  })),
  Encrypt: answering((state, { plaintext }: { readonly plaintext: Buffer }) => encrypt(state, plaintext)),
  Decrypt: answering(decrypt),
});
rmSync(socket, { force: true });
server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) => {
  if (error !== null) throw error;
  process.stdout.write('listens\n');
});
