import { randomBytes } from 'node:crypto';
import { systemClock } from '@kube-aurora/clock';
import type { Authority, Identity } from '@kube-aurora/identity';
import { issueAuthority, issueLeaf } from '@kube-aurora/identity/issue';
import { createLogger } from '@kube-aurora/process';
import { readMaterial, type Material, type MaterialFiles, type TlsMode } from '../material.ts';
import { MutualTls } from '../mutual-tls.ts';
import { RefusalLog } from '../refusal-log.ts';

export const HOUR_MS = 3_600_000;
const LIFETIME = { lifetimeMs: HOUR_MS, skewMs: HOUR_MS };

export const newAuthority = (name = 'demo'): Promise<Authority> =>
  issueAuthority(name, { lifetimeMs: 24 * HOUR_MS, skewMs: HOUR_MS }, { now: Date.now(), random: randomBytes });

export interface ProgramOptions {
  readonly authority: Authority;
  readonly role: Identity['role'];
  readonly cluster?: string;
  /** When its certificate was made; now unless given. */
  readonly issuedAt?: number;
  /** Whom it believes; its own authority unless given. */
  readonly believes?: readonly Authority[];
  readonly mode?: TlsMode;
}

/** The files that such a program has mounted. */
export async function filesOf({
  authority,
  role,
  cluster = 'demo',
  issuedAt = Date.now(),
  ...rest
}: ProgramOptions): Promise<MaterialFiles> {
  const { believes = [authority], mode } = rest;
  const identity: Identity = { namespace: 'default', cluster, role };
  const leaf = await issueLeaf(authority, { ...LIFETIME, identity, dnsNames: [], ipAddresses: [] }, { now: issuedAt, random: randomBytes });
  return {
    certificate: leaf.certificate,
    key: leaf.key,
    authorities: believes.map(({ certificate }) => certificate).join(''),
    mode,
  };
}

export async function materialOf(options: ProgramOptions): Promise<Material> {
  const reading = readMaterial(await filesOf(options));
  if (reading.kind === 'unusable') throw new Error(reading.problem);
  return reading.material;
}

/** One end of connections; `logged` are the lines of its log. */
export interface TestProgram {
  readonly tls: MutualTls;
  readonly refusals: RefusalLog;
  readonly logged: { readonly reason: string; readonly who: string; readonly part: string }[];
  /** Other certificates, from the next connection on. */
  use(material: Material): void;
}

export async function programOf(options: ProgramOptions): Promise<TestProgram> {
  let material = await materialOf(options);
  const logged: TestProgram['logged'] = [];
  const clock = systemClock();
  const logger = createLogger('test', {
    level: 'info',
    destination: { write: (line) => void logged.push(JSON.parse(line) as (typeof logged)[number]) },
  });
  const refusals = new RefusalLog({ logger, clock });
  return {
    tls: new MutualTls({ material: () => material, clock, refusals }),
    refusals,
    logged,
    use: (other) => {
      material = other;
    },
  };
}
