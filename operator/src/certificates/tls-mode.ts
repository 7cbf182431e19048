import type { TlsMode } from '@kube-aurora/tls';
import { ANNOTATION, IDENTITY_ENV } from '../api/names.ts';
import type { Pod, Secret } from '../kube/objects.ts';
import { decodeText } from '../specs/secrets.ts';

/** Was it made by a release that knew plain text alone? */
export function isPlainPod(pod: Pod): boolean {
  return !pod.spec.containers.some(({ env }) => env.some(({ name }) => name === IDENTITY_ENV));
}

export interface ModeFacts {
  /** As the Secret says it; undefined: there is none yet. */
  readonly current: { readonly mode: TlsMode; readonly sinceMs: number } | undefined;
  readonly somePodIsPlain: boolean;
  readonly now: number;
  readonly spreadMs: number;
}

/**
 * How a cluster's programs are to speak. One that begins in plain text, of an earlier release, goes over in three steps, and no step is taken back:
 * while pods know nothing else everybody calls in plain text; then all call in TLS; and once everybody does, nothing else is taken.
 *
 * Invariant: a cluster that requires TLS never does less, whatever pods appear in it.
 */
export function nextMode({ current, somePodIsPlain, now, spreadMs }: ModeFacts): TlsMode {
  if (current === undefined) return somePodIsPlain ? 'permit' : 'require';
  switch (current.mode) {
    case 'permit':
      return somePodIsPlain ? 'permit' : 'prefer';
    case 'prefer':
      return now - current.sinceMs < spreadMs ? 'prefer' : 'require';
    case 'require':
      return 'require';
  }
}

/** What a program's Secret says of it: without a word, TLS is required. */
export function modeOf(secret: Secret): { readonly mode: TlsMode; readonly sinceMs: number } {
  const said = decodeText(secret.data?.['mode'] ?? '');
  const since = Date.parse(secret.metadata.annotations?.[ANNOTATION.tlsModeSince] ?? '');
  return { mode: said === 'permit' || said === 'prefer' ? said : 'require', sinceMs: Number.isNaN(since) ? 0 : since };
}
