import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManagedProcess } from '../e2e/managed-process.ts';
import { kmsState, writeKmsState, type KmsFault } from './kms-state.ts';

/** The test plugin as a process of its own, with its keys: k1, k2 … as tests name them. */
export class KmsProcess {
  readonly socket: string;
  readonly #directory: string;
  readonly #process: ManagedProcess;
  #current = 'k1';
  #keys: Readonly<Record<string, number>> = { k1: 1 };

  constructor() {
    // Short: a socket's path has 107 bytes.
    this.#directory = mkdtempSync(join(tmpdir(), 'kms-'));
    this.socket = join(this.#directory, 'kms.sock');
    const file = join(this.#directory, 'keys.json');
    writeKmsState(file, kmsState(this.#current, this.#keys));
    this.#process = new ManagedProcess({
      name: 'kms',
      program: 'test/kms-plugin/main.ts',
      args: [this.socket, file],
      env: {},
      logFile: join(this.#directory, 'kms.log'),
    });
  }

  start(): void {
    this.#process.start();
  }

  kill(): Promise<void> {
    return this.#process.kill();
  }

  /** The key that encrypts from now on, and all that decrypt. */
  rotate(current: string, keys: Readonly<Record<string, number>>): void {
    [this.#current, this.#keys] = [current, keys];
    this.misbehave(undefined);
  }

  misbehave(fault: KmsFault | undefined): void {
    writeKmsState(join(this.#directory, 'keys.json'), kmsState(this.#current, this.#keys, fault));
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
