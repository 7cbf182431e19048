import type { ClusterAnswer, HistoryAnswer, OverviewAnswer } from '../answers/answers.ts';

/** What came of a question. `refused`: another token is wanted; `gone`: there is no such cluster (any more). */
export type Reply<T> =
  | { readonly kind: 'answered'; readonly body: T }
  | { readonly kind: 'refused' | 'gone' | 'failed'; readonly message: string };

const TIMEOUT_MS = 8_000;

/** Asks the server that the page came from. All addresses are relative: behind a proxy the page has another path. */
export class Client {
  /** In this page's memory alone: closed, it is forgotten. */
  #token: string | undefined;

  useToken(token: string): void {
    this.#token = token.trim();
  }

  overview(): Promise<Reply<OverviewAnswer>> {
    return this.#get('api/overview');
  }

  cluster(key: string): Promise<Reply<ClusterAnswer>> {
    return this.#get(`api/clusters/${key}`);
  }

  history(key: string, since: number): Promise<Reply<HistoryAnswer>> {
    return this.#get(`api/clusters/${key}/history?since=${since}`);
  }

  async #get<T>(path: string): Promise<Reply<T>> {
    let response: Response;
    try {
      response = await fetch(path, {
        signal: AbortSignal.timeout(TIMEOUT_MS),
        ...(this.#token === undefined ? {} : { headers: { 'x-kube-aurora-token': this.#token } }),
      });
      const body = (await response.json()) as T & { readonly message?: string };
      if (response.ok) return { kind: 'answered', body };
      const message = body.message ?? `the console answered ${response.status}`;
      return {
        kind: response.status === 401 || response.status === 403 ? 'refused' : response.status === 404 ? 'gone' : 'failed',
        message,
      };
    } catch (error) {
      return { kind: 'failed', message: error instanceof Error ? error.message : String(error) };
    }
  }
}
