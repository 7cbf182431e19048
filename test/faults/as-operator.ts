import { systemClock } from '@kube-aurora/clock';
import { postAction, silentLogger, type PostedAction } from '@kube-aurora/process';
import { MutualTls, readMaterial, RefusalLog } from '@kube-aurora/tls';
import type { StartedSystem } from './started-system.ts';

/** The port at which computes' agents answer. */
const AGENT_PORT = 7003;

/** Asks agents of the cluster demo for actions, as its operator: with the certificate that stands in the Secret demo-operator-tls. */
export class AsOperator {
  readonly #tls: MutualTls;

  constructor(system: StartedSystem) {
    const { data } = JSON.parse(system.run('kubectl', 'get', 'secret', 'demo-operator-tls', '-o', 'json')) as {
      data: Record<string, string>;
    };
    const text = (key: string): string => Buffer.from(data[key] ?? '', 'base64').toString('utf8');
    const reading = readMaterial({ certificate: text('tls.crt'), key: text('tls.key'), authorities: text('ca.crt'), mode: undefined });
    if (reading.kind === 'unusable') throw new Error(`Secret demo-operator-tls: ${reading.problem}`);
    const clock = systemClock();
    const refusals = new RefusalLog({ logger: silentLogger(), clock });
    this.#tls = new MutualTls({ material: () => reading.material, clock, refusals });
  }

  post(host: string, action: string): Promise<PostedAction> {
    const rule = { part: 'status', roles: ['compute'] } as const;
    return postAction({ host, port: AGENT_PORT }, action, AbortSignal.timeout(5000), (at) => this.#tls.connect(at, rule));
  }
}
