import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { authoritiesOf, rotated, type AuthorityState, type ProgramRole } from '@kube-aurora/identity';
import { issueAuthority, issueLeaf, type IssueContext } from '@kube-aurora/identity/issue';
import { TLS_FILES } from '@kube-aurora/tls';

const HOUR_MS = 3_600_000;
const AUTHORITY = { lifetimeMs: 24 * HOUR_MS, skewMs: HOUR_MS };
const LEAF = { lifetimeMs: 12 * HOUR_MS, skewMs: HOUR_MS };
const ROLES = ['storage', 'compute'] as const;

const context = (): IssueContext => ({ now: Date.now(), random: randomBytes });

/** Certificates of a cluster without an operator: the directories that its programs would have mounted, and the steps of a rotation. */
export class ClusterCertificates {
  readonly #directory: string;
  #state: AuthorityState;

  private constructor(directory: string, state: AuthorityState) {
    this.#directory = directory;
    this.#state = state;
  }

  static async make(): Promise<ClusterCertificates> {
    const directory = mkdtempSync(join(tmpdir(), 'ka-tls-'));
    chmodSync(directory, 0o755);
    const issuing = await issueAuthority('harness', AUTHORITY, context());
    const made = new ClusterCertificates(directory, { issuing, steppedAt: Date.now() });
    for (const role of ROLES) {
      mkdirSync(made.directoryOf(role));
      await made.#issue(role);
    }
    return made;
  }

  directoryOf(role: ProgramRole): string {
    return join(this.#directory, role);
  }

  /** SHA-256 of those that are believed. */
  get believed(): readonly string[] {
    return authoritiesOf(this.#state).map(({ fingerprint }) => fingerprint);
  }

  /** A new authority is believed, and issues nothing yet. */
  async announce(): Promise<void> {
    const made = await issueAuthority('harness', AUTHORITY, context());
    this.#state = rotated(this.#state, { kind: 'announce', authority: made, why: 'asked for' }, { now: Date.now() });
    this.#writeBundles();
  }

  /** Everybody gets a certificate of the new one. */
  async issueByNext(): Promise<void> {
    this.#state = rotated(this.#state, { kind: 'issue-by-next' }, { now: Date.now() });
    for (const role of ROLES) await this.#issue(role);
  }

  /** The one before is believed no more. */
  retirePrevious(): void {
    this.#state = rotated(this.#state, { kind: 'retire-previous' }, { now: Date.now() });
    this.#writeBundles();
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #issue(role: (typeof ROLES)[number]): Promise<void> {
    const identity = { namespace: 'default', cluster: 'harness', role };
    const { certificate, key } = await issueLeaf(this.#state.issuing, { ...LEAF, identity, dnsNames: [], ipAddresses: [] }, context());
    this.#write(role, TLS_FILES.authorities, this.#bundle);
    this.#write(role, TLS_FILES.certificate, certificate);
    this.#write(role, TLS_FILES.key, key);
  }

  #writeBundles(): void {
    for (const role of ROLES) this.#write(role, TLS_FILES.authorities, this.#bundle);
  }

  get #bundle(): string {
    return authoritiesOf(this.#state)
      .map(({ pem }) => pem)
      .join('');
  }

  #write(role: ProgramRole, file: string, text: string): void {
    const path = join(this.directoryOf(role), file);
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  }
}
