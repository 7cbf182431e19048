import { randomBytes } from 'node:crypto';
import { chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Authority } from '@kube-aurora/identity';
import { issueAuthority, issueLeaf, issueLogin } from '@kube-aurora/identity/issue';
import type { Account } from '../postgres/account.ts';
import { readKeyPair, type KeyPair } from './key-pair.ts';

const LIFETIME = { lifetimeMs: 86_400_000, skewMs: 3_600_000 };

/** An authority and a server's certificate by it, for any address of this machine that is named. */
export async function testPki(ipAddresses: readonly string[]): Promise<{ readonly authority: Authority; readonly pair: KeyPair }> {
  const context = { now: Date.now(), random: randomBytes };
  const authority = await issueAuthority('test', LIFETIME, context);
  const identity = { namespace: 'default', cluster: 'test', role: 'server' } as const;
  // What the driver of the tests takes an address for.
  const dnsNames = ['localhost'];
  const { certificate, key } = await issueLeaf(authority, { ...LIFETIME, identity, dnsNames, ipAddresses }, context);
  const read = readKeyPair({ certificate, key, clientCa: authority.certificate });
  if (read.kind !== 'read') throw new Error(read.why);
  return { authority, pair: read.pair };
}

/** A certificate by which somebody logs in as a role, as `pg` takes it. */
export async function testLogin(authority: Authority, role: string): Promise<{ readonly cert: string; readonly key: string }> {
  const { certificate, key } = await issueLogin(authority, { ...LIFETIME, role }, { now: Date.now(), random: randomBytes });
  return { cert: certificate, key };
}

/** Lays the pair where PostgreSQL may read it, and gives the settings that name it. */
export function layPair(
  { certificate, key, clientCa }: KeyPair,
  dir: string,
  account: Account | undefined,
): Readonly<Record<string, string>> {
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  const file = (name: string, text: string): string => {
    const path = join(dir, name);
    writeFileSync(path, text, { mode: 0o600 });
    if (account !== undefined) chownSync(path, account.uid, account.gid);
    return path;
  };
  return {
    ssl: 'on',
    ssl_cert_file: file('server.crt', certificate),
    ssl_key_file: file('server.key', key),
    ssl_ca_file: file('client-ca.crt', clientCa ?? ''),
  };
}
