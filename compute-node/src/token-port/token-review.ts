import { request } from 'node:https';
import { textOf } from '../postgres/mounted-file.ts';
import type { Review } from './judge-token.ts';

const PATH = '/apis/authentication.k8s.io/v1/tokenreviews';
const ANSWER_WITHIN_MS = 5000;
const ANSWER_BYTES_MAX = 256 * 1024;

export const REVIEW_ACCESS_MISSING = 'the operator has not put yet what the API server is asked with into the Secret NAME-token-review';

/** Asks the API server whose token this is. Never rejects: an answer that did not come is one of its kinds. */
export type ReviewToken = (token: string, audience: string) => Promise<Review>;

/**
 * Asks by TokenReview, as the ServiceAccount whose token the operator has put into `directory` (its plan/plan-token-review.ts): `server`,
 * `ca.crt` and `token`. They are read each time, since the token there changes while we run. It may review tokens and nothing else.
 */
export function reviewAtApiServer(directory: string | undefined): ReviewToken {
  return async (token, audience) => {
    const access = await accessOf(directory);
    if (access === undefined) return { kind: 'unavailable', why: REVIEW_ACCESS_MISSING };
    const { server, ca, own } = access;
    const asked = JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token, audiences: [audience] } });
    try {
      return readReview(await post(`${server.trim().replace(/\/$/, '')}${PATH}`, ca, own.trim(), asked));
    } catch (error) {
      return { kind: 'unavailable', why: `the API server was not reached: ${error instanceof Error ? error.message : String(error)}` };
    }
  };
}

/** Whether there is what to ask with; what the API server makes of it only asking shows. */
export async function hasReviewAccess(directory: string | undefined): Promise<boolean> {
  return (await accessOf(directory)) !== undefined;
}

interface Access {
  readonly server: string;
  readonly ca: string | undefined;
  readonly own: string;
}

async function accessOf(directory: string | undefined): Promise<Access | undefined> {
  const [server, ca, own] = await Promise.all(['server', 'ca.crt', 'token'].map((name) => textOf(directory, name)));
  return server === undefined || own === undefined ? undefined : { server, ca, own };
}

interface Answer {
  readonly code: number;
  readonly body: string;
}

function post(url: string, ca: string | undefined, bearer: string, body: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${bearer}`, 'content-type': 'application/json', accept: 'application/json' };
    const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
    const sent = request(url, { method: 'POST', headers, signal, ...(ca === undefined ? {} : { ca }) }, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > ANSWER_BYTES_MAX) sent.destroy(new Error(`its answer is longer than ${ANSWER_BYTES_MAX} bytes`));
        else chunks.push(chunk);
      });
      response.on('end', () => resolve({ code: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }));
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** What a TokenReview says. Pure. */
export function readReview({ code, body }: Answer): Review {
  if (code !== 200 && code !== 201) {
    const why =
      code === 401 || code === 403 ? 'it does not let us review tokens (ClusterRole …-token-review)' : 'it was not able to answer';
    return { kind: 'unavailable', why: `the API server answered ${code}: ${why}` };
  }
  const status = statusOf(body);
  if (status === undefined) return { kind: 'unavailable', why: 'the API server answered with something that is no TokenReview' };
  const { authenticated, user, audiences, error } = status;
  const username = user?.username;
  if (authenticated !== true || typeof username !== 'string')
    return {
      kind: 'rejected',
      why: `the API server: ${typeof error === 'string' ? error.slice(0, 500) : 'the token is none that counts'}`,
    };
  return { kind: 'authenticated', username, audiences: Array.isArray(audiences) ? audiences.filter((one) => typeof one === 'string') : [] };
}

interface TokenReviewStatus {
  readonly authenticated?: unknown;
  readonly user?: { readonly username?: unknown };
  readonly audiences?: unknown;
  readonly error?: unknown;
}

function statusOf(body: string): TokenReviewStatus | undefined {
  try {
    const review: unknown = JSON.parse(body);
    const status = typeof review === 'object' && review !== null && 'status' in review ? review.status : undefined;
    return typeof status === 'object' && status !== null ? status : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
