import { X509Certificate, randomBytes } from 'node:crypto';
import type { Identity } from './identity.ts';
import { issueAuthority, issueLeaf, type IssueContext } from './issue.ts';
import type { Authority } from './rotation.ts';

export const NOW = Date.UTC(2026, 10, 27);
export const HOUR_MS = 3_600_000;
const LIFETIME = { lifetimeMs: 24 * HOUR_MS, skewMs: HOUR_MS };

export const contextAt = (now: number): IssueContext => ({ now, random: randomBytes });

export const authorityAt = (now = NOW, name = 'demo'): Promise<Authority> => issueAuthority(name, LIFETIME, contextAt(now));

export async function leafOf(authority: Authority, identity: Identity, now = NOW): Promise<X509Certificate> {
  const request = { ...LIFETIME, identity, dnsNames: ['demo-rw', 'demo-rw.default.svc'], ipAddresses: ['127.0.0.1', '::1'] };
  const { certificate } = await issueLeaf(authority, request, contextAt(now));
  return new X509Certificate(certificate);
}
