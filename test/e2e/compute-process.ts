import { join } from 'node:path';
import type { WarmthStatus } from '../../compute-node/src/agent-status.ts';
import type { CacheStatus } from '../../compute-node/src/cache-status.ts';
import type { FailoverStatus } from '../../compute-node/src/failover-record.ts';
import type { PasswordStatus } from '../../compute-node/src/postgres/role-passwords.ts';
import { killStrays } from '../../compute-node/src/postgres/strays.ts';
import type { SettingsStatus } from '../../compute-node/src/settings/postgres-settings.ts';
import type { RulesStatus } from '../../compute-node/src/access/login-rules.ts';
import type { TlsStatus } from '../../compute-node/src/tls/server-tls.ts';
import { ManagedProcess } from './managed-process.ts';

/** What /status of daemons and agents says of who they are. */
export interface IdentityStatus {
  readonly mode: string;
  readonly authorities?: readonly string[];
  readonly validUntil?: string;
  readonly problem?: string;
}

/** What /status of the agent says. LSNs and epochs are decimal texts. */
export interface AgentStatus {
  readonly phase: 'bootstrapping' | 'opening' | 'running' | 'fenced' | 'stopping';
  readonly reason: string;
  /** Since when phase and reason are so, as an ISO 8601 text. */
  readonly since: string;
  readonly message: string;
  readonly lastFailure?: { readonly reason: string; readonly message: string; readonly at: string };
  readonly epoch: string;
  readonly vdl: string;
  readonly role: 'writer' | 'reader';
  readonly configuredRole: 'writer' | 'reader' | 'auto';
  readonly failover?: FailoverStatus;
  /** Of a reader. */
  readonly replayLsn?: string;
  readonly lagMs?: number;
  readonly source?: string;
  /** Of the reader that would be the next writer. */
  readonly warmth?: WarmthStatus;
  readonly lastOpenMs?: number;
  /** While it opens: how far it is. */
  readonly opening?: { readonly step: string; readonly number: number; readonly steps: number; readonly since: string };
  readonly identity: IdentityStatus;
  readonly postgres: { readonly pid?: number; readonly ready: boolean };
  readonly settings: SettingsStatus;
  readonly loginRules: RulesStatus;
  /** Of an agent with AURORA_TLS_DIR. */
  readonly tls?: TlsStatus;
  readonly passwords: readonly PasswordStatus[];
  readonly lostReplicationSlots?: readonly { readonly name: string; readonly why: string; readonly at: string }[];
  /** Once PostgreSQL was started. */
  readonly cache?: CacheStatus;
  readonly segments: readonly {
    readonly id: string;
    readonly zone: string;
    readonly scl: string;
    readonly state: string;
    readonly behindBytes: number;
  }[];
}

const ANSWER_MS = 20_000;

/** A compute agent and the address its PostgreSQL answers on. */
export class Writer extends ManagedProcess {
  readonly host: string;
  readonly dataDir: string;

  constructor(options: { name: string; host: string; dataDir: string; env: Record<string, string>; logFile: string }) {
    super({ name: options.name, program: 'compute-node/src/main.ts', env: options.env, logFile: options.logFile });
    this.host = options.host;
    this.dataDir = options.dataDir;
  }

  /** Undefined when the agent does not answer: one that runs is waited for, as long as a machine may keep it from its turn. */
  async status(): Promise<AgentStatus | undefined> {
    try {
      const response = await fetch(`http://${this.host}:7003/status`, { signal: AbortSignal.timeout(ANSWER_MS) });
      return (await response.json()) as AgentStatus;
    } catch (error) {
      if (error instanceof Error) return undefined;
      throw error;
    }
  }

  /** Asks it to take the writer's place. Gives the HTTP status and its words. */
  async promote(): Promise<{ readonly code: number; readonly message: string }> {
    const response = await fetch(`http://${this.host}:7003/promote`, { method: 'POST', signal: AbortSignal.timeout(ANSWER_MS) });
    const { message } = (await response.json()) as { readonly message: string };
    return { code: response.status, message };
  }

  /** Kills the PostgreSQL that a killed agent left running; the next agent on the same directory does so too. */
  killPostgres(): number[] {
    return killStrays(join(this.dataDir, 'pgdata'));
  }
}
