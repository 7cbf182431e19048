import type { KubeObject } from '../kube/objects.ts';

/** A watch of one object by name. */
export interface ObjectWatch {
  start(): void;
  stop(): void;
}

export interface GivenSecretsOptions {
  /** Makes a watch of the Secret; `onChange` is called after every change of it, also when it is made or deleted. */
  readonly watch: (namespace: string, name: string, onChange: (secret: KubeObject) => void) => ObjectWatch;
  /** Called with the key (`namespace/name`) of a cluster that uses a Secret that changed. */
  readonly onCluster: (key: string) => void;
}

/**
 * Watches the Secrets that clusters name and that people made: they carry no label of ours, so no cache of ours sees
 * them. One watch for each, for as long as a cluster names it; only those, since a namespace may be full of others.
 */
export class GivenSecrets {
  readonly #options: GivenSecretsOptions;
  readonly #watches = new Map<string, ObjectWatch>();
  readonly #users = new Map<string, Set<string>>();

  constructor(options: GivenSecretsOptions) {
    this.#options = options;
  }

  get watched(): readonly string[] {
    return [...this.#watches.keys()];
  }

  /** The Secrets that a cluster names now; what it named before and nobody else does is let go. */
  follow(cluster: string, namespace: string, names: readonly string[]): void {
    const wanted = new Set(names.map((name) => `${namespace}/${name}`));
    for (const [secret, users] of this.#users) {
      if (wanted.has(secret) || !users.delete(cluster) || users.size > 0) continue;
      this.#users.delete(secret);
      this.#watches.get(secret)?.stop();
      this.#watches.delete(secret);
    }
    for (const name of names) {
      const secret = `${namespace}/${name}`;
      const users = this.#users.get(secret) ?? new Set<string>();
      users.add(cluster);
      this.#users.set(secret, users);
      if (this.#watches.has(secret)) continue;
      const watch = this.#options.watch(namespace, name, () => this.#changed(secret));
      this.#watches.set(secret, watch);
      watch.start();
    }
  }

  forget(cluster: string): void {
    this.follow(cluster, '', []);
  }

  stop(): void {
    for (const watch of this.#watches.values()) watch.stop();
    this.#watches.clear();
    this.#users.clear();
  }

  #changed(secret: string): void {
    for (const cluster of this.#users.get(secret) ?? []) this.#options.onCluster(cluster);
  }
}
