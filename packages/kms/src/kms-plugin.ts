import { Client, credentials, status as grpcStatus, type MethodDefinition } from '@grpc/grpc-js';
import type { KmsEnvelope } from '@kube-aurora/at-rest';
import { kmsService, type KmsService } from './kms-service.ts';

/** What came of a question. */
export type KmsAnswer<T> =
  | { readonly kind: 'answer'; readonly value: T }
  /** None came, or the plugin says that it cannot: it may another time. */
  | { readonly kind: 'failed'; readonly problem: string }
  /** One came that cannot be. */
  | { readonly kind: 'wrong'; readonly problem: string };

/** A KMS, as its plugin shows it. */
export interface KmsPlugin {
  /** The id of the key that it encrypts with now. */
  status(): Promise<KmsAnswer<string>>;
  encrypt(seed: Buffer): Promise<KmsAnswer<KmsEnvelope>>;
  decrypt(envelope: KmsEnvelope): Promise<KmsAnswer<Buffer>>;
  close(): void;
}

/** As in Kubernetes' API server: what an answer may have. */
const KEY_ID_BYTES_MAX = 1024;
const CIPHERTEXT_BYTES_MAX = 1024;
const ANNOTATIONS_BYTES_MAX = 32 * 1024;
const SEED_BYTES = 32;
/** No more of an answer is read: with it nothing that is within the bounds is cut off. */
const MESSAGE_BYTES_MAX = 256 * 1024;
/** A KMS is somewhere in a network. */
const DEADLINE_MS = 10_000;
const VERSIONS: readonly string[] = ['v2', 'v2beta1'];

/** The plugin that listens at a socket of this machine. `uid` names a request, in the plugin's log. */
export function connectKms(socket: string, uid: () => string): KmsPlugin {
  const service = kmsService();
  const client = new Client(`unix:${socket}`, credentials.createInsecure(), {
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    'grpc.initial_reconnect_backoff_ms': 200,
    'grpc.min_reconnect_backoff_ms': 200,
    'grpc.max_reconnect_backoff_ms': 2000,
    'grpc.enable_retries': 0,
    'grpc.use_local_subchannel_pool': 1,
  });

  function ask<Request, Response>(
    name: keyof KmsService,
    { path, requestSerialize, responseDeserialize }: MethodDefinition<Request, Response>,
    request: Request,
  ): Promise<KmsAnswer<Response>> {
    return new Promise((resolve) => {
      const deadline = Date.now() + DEADLINE_MS;
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, { deadline }, (error, value) => {
        if (error === null && value !== undefined) resolve({ kind: 'answer', value });
        else resolve({ kind: 'failed', problem: inWords(name, socket, error) });
      });
    });
  }

  return {
    async status() {
      const said = await ask('Status', service.Status, {});
      return said.kind === 'answer' ? checkStatus(said.value) : said;
    },
    async encrypt(seed) {
      const said = await ask('Encrypt', service.Encrypt, { plaintext: seed, uid: uid() });
      return said.kind === 'answer' ? checkEnvelope(said.value) : said;
    },
    async decrypt({ keyId, ciphertext, annotations }) {
      const said = await ask('Decrypt', service.Decrypt, {
        ciphertext: Buffer.from(ciphertext, 'base64'),
        uid: uid(),
        key_id: keyId,
        annotations: Object.fromEntries(Object.entries(annotations).map(([name, value]) => [name, Buffer.from(value, 'base64')])),
      });
      return said.kind === 'answer' ? checkSeed(said.value) : said;
    },
    close: () => client.close(),
  };
}

interface Refusal {
  readonly code?: number;
  readonly details?: string;
}

function inWords(name: string, socket: string, error: Refusal | null): string {
  const code = grpcStatus[error?.code ?? grpcStatus.UNKNOWN] ?? 'UNKNOWN';
  return `${name} of the plugin at ${socket} fails with ${code}: ${shown(error?.details ?? '')}`;
}

/** Texts of others go into logs and statuses. */
function shown(text: string): string {
  return text.length > 300 ? `${text.slice(0, 300)} …` : text;
}

const wrong = (problem: string): { readonly kind: 'wrong'; readonly problem: string } => ({ kind: 'wrong', problem });

function keyIdProblem(call: string, keyId: string): string | undefined {
  if (keyId === '') return `${call} of the plugin names no key (key_id is empty)`;
  const bytes = Buffer.byteLength(keyId);
  if (bytes > KEY_ID_BYTES_MAX) return `${call} of the plugin has a key_id of ${bytes} bytes, and ${KEY_ID_BYTES_MAX} are allowed`;
  return undefined;
}

/** The same checks as in Kubernetes' API server. */
function checkStatus({ version, healthz, key_id }: { version: string; healthz: string; key_id: string }): KmsAnswer<string> {
  if (!VERSIONS.includes(version)) return wrong(`the plugin speaks version '${shown(version)}' of the API, and not v2`);
  if (healthz !== 'ok') return { kind: 'failed', problem: `the plugin says that it is not well: ${shown(healthz)}` };
  const problem = keyIdProblem('Status', key_id);
  return problem === undefined ? { kind: 'answer', value: key_id } : wrong(problem);
}

function checkEnvelope(answer: {
  readonly ciphertext: Buffer;
  readonly key_id: string;
  readonly annotations: Readonly<Record<string, Buffer>>;
}): KmsAnswer<KmsEnvelope> {
  const { ciphertext, key_id, annotations } = answer;
  const problem = keyIdProblem('Encrypt', key_id);
  if (problem !== undefined) return wrong(problem);
  if (ciphertext.length === 0 || ciphertext.length > CIPHERTEXT_BYTES_MAX)
    return wrong(`Encrypt of the plugin gives a ciphertext of ${ciphertext.length} bytes: 1 to ${CIPHERTEXT_BYTES_MAX} are allowed`);
  const entries = Object.entries(annotations);
  const bytes = entries.reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + value.length, 0);
  if (bytes > ANNOTATIONS_BYTES_MAX)
    return wrong(`Encrypt of the plugin gives annotations of ${bytes} bytes, and ${ANNOTATIONS_BYTES_MAX} are allowed`);
  return {
    kind: 'answer',
    value: {
      keyId: key_id,
      ciphertext: ciphertext.toString('base64'),
      annotations: Object.fromEntries(entries.map(([name, value]) => [name, value.toString('base64')])),
    },
  };
}

function checkSeed({ plaintext }: { readonly plaintext: Buffer }): KmsAnswer<Buffer> {
  if (plaintext.length !== SEED_BYTES)
    return wrong(`Decrypt of the plugin gives ${plaintext.length} bytes, and ${SEED_BYTES} were encrypted`);
  return { kind: 'answer', value: plaintext };
}
