import { Counter, Gauge, type Registry } from 'prom-client';
import type { RefusalLog } from './refusal-log.ts';
import type { TlsDirectory } from './tls-directory.ts';

/** Metrics of a program that has certificates; `directory` is undefined of one that speaks plain text. */
export function registerTlsMetrics(registry: Registry, refusals: Pick<RefusalLog, 'counts'>, directory: TlsDirectory | undefined): void {
  const registers = [registry];
  new Counter({
    name: 'aurora_tls_refused_connections_total',
    help: 'Connections that were ended because of who the other end is, by what they were for, by why, and whether it called us or we it',
    labelNames: ['part', 'reason', 'side'],
    registers,
    collect() {
      this.reset();
      for (const { part, reason, side, count } of refusals.counts) this.inc({ part, reason, side }, count);
    },
  });
  new Gauge({
    name: 'aurora_tls_certificate_expires_seconds',
    help: 'When the certificate that this program shows ends, in seconds since 1970; 0 when it speaks plain text',
    registers,
    collect() {
      this.set((directory?.material.certificate.notAfter ?? 0) / 1000);
    },
  });
  new Gauge({
    name: 'aurora_tls_material_unusable',
    help: '1 when the certificates that lie in the directory cannot be used, and those from before are',
    registers,
    collect() {
      this.set(directory?.problem === undefined ? 0 : 1);
    },
  });
}
