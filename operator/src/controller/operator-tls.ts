import type { Clock } from '@kube-aurora/clock';
import type { ProgramRole } from '@kube-aurora/identity';
import type { Connect } from '@kube-aurora/process';
import { MutualTls, readMaterial, type Material, type RefusalLog } from '@kube-aurora/tls';
import { isPlainPod } from '../certificates/tls-mode.ts';
import { tlsSecretName } from '../api/names.ts';
import type { Pod, Secret } from '../kube/objects.ts';
import { decodeText } from '../specs/secrets.ts';

export interface OperatorTlsOptions {
  /** As a cache has it. */
  readonly secret: (namespace: string, name: string) => Secret | undefined;
  readonly clock: Clock;
  readonly refusals: RefusalLog;
}

interface Known {
  readonly mutual: MutualTls;
  version: string | undefined;
  material: Material | undefined;
}

/** How the operator reaches programs of its clusters: to each as the operator of that cluster, by the Secret NAME-operator-tls. */
export class OperatorTls {
  readonly #options: OperatorTlsOptions;
  readonly #clusters = new Map<string, Known>();

  constructor(options: OperatorTlsOptions) {
    this.#options = options;
  }

  /** To a pod of a cluster (`namespace/name`). Undefined: in plain text, of a release that knows nothing else. */
  connectTo(key: string, pod: Pod, role: ProgramRole): Connect | undefined {
    if (isPlainPod(pod)) return undefined;
    return (at) => this.#of(key).mutual.connect(at, { part: 'status', roles: [role] });
  }

  forget(key: string): void {
    this.#clusters.delete(key);
  }

  #of(key: string): Known {
    const known = this.#clusters.get(key);
    if (known !== undefined) return known;
    const { clock, refusals } = this.#options;
    const made: Known = {
      mutual: new MutualTls({ material: () => this.#material(key, made), clock, refusals }),
      version: undefined,
      material: undefined,
    };
    this.#clusters.set(key, made);
    return made;
  }

  /** Throws when there is none that can be used. */
  #material(key: string, known: Known): Material {
    const [namespace = '', cluster = ''] = key.split('/');
    const name = tlsSecretName(cluster, 'operator');
    const secret = this.#options.secret(namespace, name);
    const version = secret?.metadata.resourceVersion;
    if (known.material !== undefined && version === known.version) return known.material;
    const text = (file: string): string | undefined => (secret?.data?.[file] === undefined ? undefined : decodeText(secret.data[file]));
    const reading = readMaterial({ certificate: text('tls.crt'), key: text('tls.key'), authorities: text('ca.crt'), mode: undefined });
    if (reading.kind === 'usable') known.material = reading.material;
    known.version = version;
    // As programs do: what was there before is better than nothing.
    if (known.material === undefined) throw new Error(`Secret ${name}: ${reading.kind === 'unusable' ? reading.problem : 'is not there'}`);
    return known.material;
  }
}
