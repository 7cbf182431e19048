import { connect } from 'node:net';
import type { Registry } from 'prom-client';
import type { Clock } from '@kube-aurora/clock';
import type { ProgramRole } from '@kube-aurora/identity';
import { setting, type Connect, type Logger, type Setting, type StatusDoor } from '@kube-aurora/process';
import { MutualTls } from './mutual-tls.ts';
import { RefusalLog } from './refusal-log.ts';
import { TlsDirectory, type TlsStatus } from './tls-directory.ts';
import { registerTlsMetrics } from './tls-metrics.ts';

/** The setting of every program that has certificates. */
export const IDENTITY_DIR_SETTING: Setting<string | undefined> = {
  env: 'AURORA_IDENTITY_DIR',
  description:
    'directory with tls.crt, tls.key and ca.crt (and mode: permit, prefer or require), looked at while we run: who we are to other programs, and whom we believe; without it everything is plain text',
  type: setting.optionalText(),
};

export interface ProgramTlsOptions {
  /** Undefined: plain text. */
  readonly directory: string | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A program's TLS, or that it has none: what its main needs of it. */
export class ProgramTls {
  /** Undefined: everything is plain text. */
  readonly mutual: MutualTls | undefined;
  readonly #directory: TlsDirectory | undefined;
  readonly #refusals: RefusalLog;

  private constructor({ clock, logger }: ProgramTlsOptions, directory: TlsDirectory | undefined) {
    this.#directory = directory;
    this.#refusals = new RefusalLog({ logger: logger.child({ part: 'tls' }), clock });
    if (directory !== undefined) this.mutual = new MutualTls({ material: () => directory.material, clock, refusals: this.#refusals });
  }

  /** Rejects with ConfigError when the directory has nothing to begin with. */
  static async open(options: ProgramTlsOptions): Promise<ProgramTls> {
    const { directory, clock, logger } = options;
    if (directory === undefined) {
      logger.warn('AURORA_IDENTITY_DIR is not set: everything is plain text, and nobody proves who he is');
      return new ProgramTls(options, undefined);
    }
    return new ProgramTls(options, await TlsDirectory.open({ directory, clock, logger }));
  }

  /** For /status. */
  get status(): TlsStatus | { readonly mode: 'off' } {
    return this.#directory?.status ?? { mode: 'off' };
  }

  registerMetrics(registry: Registry): void {
    registerTlsMetrics(registry, this.#refusals, this.#directory);
  }

  /** Of the status server: in plain text everybody may look, and only these roles may ask for actions. */
  statusDoor(roles: readonly ProgramRole[]): StatusDoor | undefined {
    const { mutual } = this;
    if (mutual === undefined) return undefined;
    return (letIn) =>
      mutual.acceptor({
        part: 'status',
        alpn: 'http/1.1',
        roles,
        plainToo: true,
        admitted: (stream, identity) => letIn(stream, identity !== undefined || mutual.mode !== 'require'),
      });
  }

  /** How status servers of programs in these roles are reached. */
  statusConnect(roles: readonly ProgramRole[]): Connect | undefined {
    const { mutual } = this;
    if (mutual === undefined) return undefined;
    return (at) => (mutual.mode === 'permit' ? connect(at) : mutual.connect(at, { part: 'status', roles }));
  }

  stop(): void {
    this.#directory?.stop();
  }
}
