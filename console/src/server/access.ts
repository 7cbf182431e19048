import { createHash } from 'node:crypto';
import { GROUP, PLURAL } from '@kube-aurora/cluster-view';
import { ApiError, type KubeApi } from '@kube-aurora/kube-http';

/** Whether somebody may look. `busy`: too many ask at once; `unanswered`: the API server does not say. */
export type Admission =
  | { readonly kind: 'admitted'; readonly may: (namespace: string) => Promise<boolean> }
  | { readonly kind: 'noToken' | 'badToken' | 'busy' | 'unanswered' };

export interface Access {
  readonly admit: (token: string | undefined) => Promise<Admission>;
}

/** Whoever reaches the port may look. */
export const OPEN: Access = { admit: () => Promise.resolve({ kind: 'admitted', may: () => Promise.resolve(true) }) };

interface User {
  readonly username?: string;
  readonly uid?: string;
  readonly groups?: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

interface Known {
  /** Undefined: the API server does not know the token. */
  readonly user: User | undefined;
  readonly until: number;
  readonly namespaces: Map<string, boolean>;
}

/** A token that is withdrawn works no longer than this. */
const KNOWN_MS = 30_000;
const UNKNOWN_MS = 5_000;
const REMEMBERED_MAX = 256;
/** Questions to the API server under way: strangers with made-up tokens get no more of it. */
const ASKING_MAX = 8;
const TOKEN_LENGTH_MAX = 16_384;

/** Tokens as the API server knows them: who may get AuroraClusters of a namespace may see them here. Tokens are not kept, their hashes are. */
export class TokenAccess implements Access {
  readonly #api: Pick<KubeApi, 'post'>;
  readonly #now: () => number;
  readonly #known = new Map<string, Known>();
  #asking = 0;

  constructor(api: Pick<KubeApi, 'post'>, now: () => number) {
    this.#api = api;
    this.#now = now;
  }

  async admit(token: string | undefined): Promise<Admission> {
    if (token === undefined || token === '') return { kind: 'noToken' };
    if (token.length > TOKEN_LENGTH_MAX) return { kind: 'badToken' };
    const hash = createHash('sha256').update(token).digest('base64');
    let known = this.#known.get(hash);
    if (known === undefined || known.until <= this.#now()) {
      if (this.#asking >= ASKING_MAX) return { kind: 'busy' };
      const user = await this.#ask(() => this.#userOf(token));
      if (user === 'unanswered') return { kind: 'unanswered' };
      known = { user, until: this.#now() + (user === undefined ? UNKNOWN_MS : KNOWN_MS), namespaces: new Map() };
      this.#remember(hash, known);
    }
    const { user, namespaces } = known;
    if (user === undefined) return { kind: 'badToken' };
    const may = async (namespace: string): Promise<boolean> => {
      let allowed = namespaces.get(namespace);
      if (allowed === undefined) {
        const answer = await this.#ask(() => this.#mayGet(user, namespace));
        // Who cannot be vouched for now is not let in now, and may ask again.
        if (answer === 'unanswered') return false;
        namespaces.set(namespace, (allowed = answer));
      }
      return allowed;
    };
    return { kind: 'admitted', may };
  }

  #remember(hash: string, known: Known): void {
    this.#known.delete(hash);
    this.#known.set(hash, known);
    const [oldest] = this.#known.keys();
    if (this.#known.size > REMEMBERED_MAX && oldest !== undefined) this.#known.delete(oldest);
  }

  async #ask<T>(question: () => Promise<T>): Promise<T | 'unanswered'> {
    this.#asking++;
    try {
      return await question();
    } catch (error) {
      if (error instanceof ApiError) return 'unanswered';
      throw error;
    } finally {
      this.#asking--;
    }
  }

  async #userOf(token: string): Promise<User | undefined> {
    const { status } = await this.#api.post<{ readonly status?: { readonly authenticated?: boolean; readonly user?: User } }>(
      '/apis/authentication.k8s.io/v1/tokenreviews',
      { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } },
    );
    return status?.authenticated === true ? status.user : undefined;
  }

  async #mayGet({ username, uid, groups, extra }: User, namespace: string): Promise<boolean> {
    const { status } = await this.#api.post<{ readonly status?: { readonly allowed?: boolean } }>(
      '/apis/authorization.k8s.io/v1/subjectaccessreviews',
      {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: {
          user: username,
          uid,
          groups,
          extra,
          resourceAttributes: { verb: 'get', group: GROUP, resource: PLURAL, namespace },
        },
      },
    );
    return status?.allowed === true;
  }
}
