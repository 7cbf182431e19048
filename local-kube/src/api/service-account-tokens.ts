import { createPrivateKey, createPublicKey, generateKeyPairSync, randomUUID, sign, verify, type KeyObject } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { arrayAt, numberAt, objectAt, stringAt, type Json, type JsonObject, type KubeObject } from '../store/object.ts';
import type { Store } from '../store/store.ts';
import { writeWhole } from '../store/whole-file.ts';
import { refuse } from './errors.ts';
import { instant } from './metadata.ts';

/** Who signs, and the audience of a token for the API itself, as on most clusters. */
const ISSUER = 'https://kubernetes.default.svc';
const LIFETIME_S = 3600;
const LIFETIME_MIN_S = 600;
const LIFETIME_MAX_S = 2 ** 32;

/** Who asks, as authentication.k8s.io/v1 says it. */
export interface RequestUser {
  readonly username: string;
  readonly uid?: string;
  readonly groups: readonly string[];
  readonly extra?: { readonly [key: string]: readonly string[] };
}

/** Of a pod that a token is for: it counts as long as that pod is there. */
type BoundObject = { readonly name: string; readonly uid: string };

/**
 * Tokens of ServiceAccounts: JWTs that are signed with a key of this local-kube, for audiences and a time, and that count as long as their
 * ServiceAccount (and pod) is there.
 */
export class ServiceAccountTokens {
  readonly #store: Store;
  readonly #now: () => number;
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;
  /** What pods mount is issued anew after four fifths of its time, as a kubelet does. */
  readonly #mounted = new Map<string, { readonly token: string; readonly renewAtMs: number }>();

  /** The key is made at the first start and kept. */
  constructor(directory: string, store: Store, now: () => number) {
    this.#store = store;
    this.#now = now;
    this.#privateKey = createPrivateKey(keptKey(directory));
    this.#publicKey = createPublicKey(this.#privateKey);
  }

  /** `POST …/serviceaccounts/NAME/token`. Throws ApiError. */
  request(account: KubeObject, body: Json): JsonObject {
    const { name, namespace = 'default' } = account.metadata;
    const spec = objectAt(body, 'spec');
    const seconds = numberAt(spec, 'expirationSeconds') ?? LIFETIME_S;
    const invalid = (message: string): Error =>
      refuse.invalid('authentication.k8s.io', 'TokenRequest', name, [
        { reason: 'FieldValueInvalid', field: 'spec.expirationSeconds', message: `Invalid value: ${seconds}: ${message}` },
      ]);
    if (seconds < LIFETIME_MIN_S) throw invalid('may not specify a duration less than 10 minutes');
    if (seconds > LIFETIME_MAX_S) throw invalid('may not specify a duration larger than 2^32 seconds');
    const bound = objectAt(spec, 'boundObjectRef');
    const kind = stringAt(bound, 'kind');
    if (kind !== undefined && kind !== 'Pod')
      throw refuse.badRequest(`cannot bind token to object of type ${kind}: local-kube binds to pods`);
    const podName = stringAt(bound, 'name') ?? '';
    const pod = kind === undefined ? undefined : this.#store.get('pods', namespace, podName);
    if (kind !== undefined && pod === undefined) throw refuse.notFound('', 'pods', podName);
    const audiences = arrayAt(spec, 'audiences').map(String);
    const token = this.#issue(account, audiences, seconds, boundTo(pod));
    return {
      kind: 'TokenRequest',
      apiVersion: 'authentication.k8s.io/v1',
      metadata: { name, namespace, creationTimestamp: instant(this.#now()) },
      spec: { ...spec, audiences: audiences.length === 0 ? [ISSUER] : audiences, expirationSeconds: seconds },
      status: { token, expirationTimestamp: instant(this.#now() + seconds * 1000) },
    };
  }

  /** What a projected volume of a pod holds; undefined: its ServiceAccount is not there. */
  mounted(pod: KubeObject, source: JsonObject): string | undefined {
    const { namespace } = pod.metadata;
    const account = this.#store.get('serviceaccounts', namespace, stringAt(pod, 'spec', 'serviceAccountName') ?? 'default');
    if (account === undefined) return undefined;
    const seconds = Math.max(numberAt(source, 'expirationSeconds') ?? LIFETIME_S, LIFETIME_MIN_S);
    const audience = stringAt(source, 'audience');
    const key = JSON.stringify([pod.metadata.uid, account.metadata.uid, audience, seconds]);
    const held = this.#mounted.get(key);
    if (held !== undefined && this.#now() < held.renewAtMs) return held.token;
    for (const [other, { renewAtMs }] of this.#mounted) if (this.#now() > renewAtMs + LIFETIME_S * 1000) this.#mounted.delete(other);
    const token = this.#issue(account, audience === undefined ? [] : [audience], seconds, boundTo(pod));
    this.#mounted.set(key, { token, renewAtMs: this.#now() + seconds * 800 });
    return token;
  }

  /** Whose token this is, for whom of these; undefined: nobody's, as of now. No audience asked for is that of the API. */
  authenticate(token: string, audiences: readonly string[] = []): { user: RequestUser; audiences: readonly string[] } | undefined {
    const claims = this.#verified(token);
    if (claims === undefined) return undefined;
    const now = this.#now() / 1000;
    if (now >= (numberAt(claims, 'exp') ?? 0) || now < (numberAt(claims, 'nbf') ?? Infinity)) return undefined;
    const wanted = audiences.length === 0 ? [ISSUER] : audiences;
    const granted = arrayAt(claims, 'aud')
      .map(String)
      .filter((audience) => wanted.includes(audience));
    if (granted.length === 0) return undefined;
    const about = objectAt(claims, 'kubernetes.io');
    const namespace = stringAt(about, 'namespace') ?? '';
    const name = stringAt(about, 'serviceaccount', 'name') ?? '';
    const uid = stringAt(about, 'serviceaccount', 'uid') ?? '';
    if (this.#store.get('serviceaccounts', namespace, name)?.metadata.uid !== uid) return undefined;
    const pod = stringAt(about, 'pod', 'name');
    const podUid = stringAt(about, 'pod', 'uid');
    if (pod !== undefined && this.#store.get('pods', namespace, pod)?.metadata.uid !== podUid) return undefined;
    return {
      user: {
        username: `system:serviceaccount:${namespace}:${name}`,
        uid,
        groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
        extra: {
          'authentication.kubernetes.io/credential-id': [`JTI=${stringAt(claims, 'jti') ?? ''}`],
          ...(pod === undefined
            ? {}
            : { 'authentication.kubernetes.io/pod-name': [pod], 'authentication.kubernetes.io/pod-uid': [podUid ?? ''] }),
        },
      },
      audiences: granted,
    };
  }

  #issue(account: KubeObject, audiences: readonly string[], seconds: number, pod: BoundObject | undefined): string {
    const { name, namespace = 'default', uid = '' } = account.metadata;
    const iat = Math.floor(this.#now() / 1000);
    const claims: JsonObject = {
      aud: audiences.length === 0 ? [ISSUER] : [...audiences],
      exp: iat + seconds,
      iat,
      iss: ISSUER,
      jti: randomUUID(),
      'kubernetes.io': { namespace, serviceaccount: { name, uid }, ...(pod === undefined ? {} : { pod: { ...pod } }) },
      nbf: iat,
      sub: `system:serviceaccount:${namespace}:${name}`,
    };
    const text = [{ alg: 'ES256', typ: 'JWT' }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
    const signature = sign('sha256', Buffer.from(text), { key: this.#privateKey, dsaEncoding: 'ieee-p1363' });
    return `${text}.${signature.toString('base64url')}`;
  }

  /** The claims of what we signed ourselves. */
  #verified(token: string): JsonObject | undefined {
    const [head = '', body = '', signature = '', ...more] = token.split('.');
    if (more.length > 0 || signature === '') return undefined;
    const isOurs = verify(
      'sha256',
      Buffer.from(`${head}.${body}`),
      { key: this.#publicKey, dsaEncoding: 'ieee-p1363' },
      Buffer.from(signature, 'base64url'),
    );
    return isOurs ? (JSON.parse(Buffer.from(body, 'base64url').toString()) as JsonObject) : undefined;
  }
}

function boundTo(pod: KubeObject | undefined): BoundObject | undefined {
  return pod === undefined ? undefined : { name: pod.metadata.name, uid: pod.metadata.uid ?? '' };
}

/** PEM, readable to us alone. */
function keptKey(directory: string): string {
  const file = path.join(directory, 'service-accounts.pem');
  if (existsSync(file)) return readFileSync(file, 'utf8');
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  writeWhole(file, pem);
  return pem;
}
