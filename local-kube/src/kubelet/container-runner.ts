import { spawn, type ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import { instant } from '../api/metadata.ts';
import type { Container, ContainerState, ContainerStatus } from '../kinds.ts';
import { NO_FAILURES, nextRestart, type BackOff } from './back-off.ts';
import type { ContainerLog } from './container-log.ts';
import { ProbeLoop, type ProbeTarget } from './probe.ts';
import { signalGroup, signalProcess, signalTree, type ProcessTable } from './process-table.ts';

/** What a container runs, with every reference resolved. */
export interface Program {
  readonly command: readonly string[];
  readonly env: { readonly [name: string]: string };
  readonly cwd: string;
  readonly ip: string;
  readonly rewrite: (text: string) => string;
}

export interface ContainerRunnerOptions {
  readonly now: () => number;
  readonly table: ProcessTable;
  /** Resolves the program afresh for each start; throws with what is missing. */
  program(): Program;
  /** A log for the run with this number of restarts before it. */
  openLog(restarts: number): ContainerLog;
  /** The status has changed. */
  changed(): void;
  event(type: 'Normal' | 'Warning', reason: string, message: string): void;
}

/**
 * Runs one container of a pod: starts it, probes it, starts it again by the pod's restart policy, ends it gracefully.
 */
export class ContainerRunner {
  readonly container: Container;
  readonly #policy: string;
  readonly #options: ContainerRunnerOptions;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #probes: ProbeLoop[] = [];
  #target: ProbeTarget | undefined;
  #backOff: BackOff = NO_FAILURES;
  #retry: NodeJS.Timeout | undefined;
  #startedMs = 0;
  #ready = false;
  #started = false;
  #restarts: number;
  #state: ContainerState = { waiting: { reason: 'ContainerCreating' } };
  #last: ContainerState;
  #log: ContainerLog | undefined;
  /** Set once it is being ended: nothing starts it again. */
  #stopping = false;

  constructor(container: Container, policy: string, options: ContainerRunnerOptions, before: ContainerStatus | undefined) {
    this.container = container;
    this.#policy = policy;
    this.#options = options;
    // A pod that outlives local-kube goes on counting.
    const ended = before?.state.terminated;
    const cut = before?.state.running;
    this.#restarts = before === undefined ? 0 : before.restartCount + (ended === undefined && cut === undefined ? 0 : 1);
    this.#last =
      cut === undefined
        ? ended === undefined
          ? (before?.lastState ?? {})
          : { terminated: ended }
        : {
            terminated: {
              exitCode: 137,
              reason: 'Unknown',
              message: 'local-kube was restarted',
              startedAt: cut.startedAt,
              finishedAt: instant(options.now()),
            },
          };
  }

  get log(): ContainerLog | undefined {
    return this.#log;
  }

  get restarts(): number {
    return this.#restarts;
  }

  get running(): boolean {
    return this.#state.running !== undefined;
  }

  get ready(): boolean {
    return this.#ready;
  }

  /** How it ended for good; undefined while it runs or will run again. */
  get finished(): number | undefined {
    const code = this.#state.terminated?.exitCode;
    if (code === undefined || this.#retry !== undefined) return undefined;
    return this.#restartsAfter(code) ? undefined : code;
  }

  status(): ContainerStatus {
    const image = this.container.image ?? '';
    return {
      name: this.container.name,
      state: this.#state,
      lastState: this.#last,
      ready: this.#ready,
      restartCount: this.#restarts,
      image,
      imageID: image === '' ? '' : `local-kube://${image}`,
      ...(this.#child?.pid === undefined ? {} : { containerID: `process://${this.#child.pid}` }),
      started: this.#started,
    };
  }

  start(): void {
    this.#retry = undefined;
    if (this.#stopping) return;
    let program: Program;
    try {
      program = this.#options.program();
    } catch (error) {
      this.#wait('CreateContainerConfigError', error instanceof Error ? error.message : String(error));
      return;
    }
    const [file = '', ...args] = program.command;
    const log = this.#options.openLog(this.#restarts);
    const child = spawn(file, args, { cwd: program.cwd, env: { ...program.env }, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    this.#log = log;
    this.#startedMs = this.#options.now();
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => log.write('stdout', chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => log.write('stderr', chunk));
    this.#exited = new Promise((resolve) => {
      child.once('error', (error) => {
        log.write('stderr', `${error.message}\n`);
        if (child.pid === undefined) {
          log.end();
          this.#ended(128, null, 'StartError', error.message);
          resolve();
        }
      });
      // What the process left behind in its group would hold its ports and files.
      child.once('exit', (code, signal) => {
        if (child.pid !== undefined) {
          signalGroup(child.pid, 'SIGKILL');
          this.#options.table.remove(child.pid);
        }
        this.#ended(code, signal);
        resolve();
      });
      child.once('close', () => {
        log.end();
        this.#keepLastWords(`process://${child.pid}`, log);
      });
    });
    if (child.pid === undefined) return;
    this.#options.table.add(child.pid);
    this.#state = { running: { startedAt: instant(this.#startedMs) } };
    this.#options.event('Normal', 'Started', `Started container ${this.container.name}`);
    this.#target = { ip: program.ip, container: this.container, env: program.env, cwd: program.cwd, rewrite: program.rewrite };
    this.#beginProbes(this.#target);
    this.#options.changed();
  }

  /** Ends it: TERM to its process, KILL to the whole group after the grace period. Resolves when it is gone. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#endProbes();
    await this.#terminate(graceMs);
  }

  /** Ends it at once, as a machine that loses power does; `start` may run it again. */
  kill(): void {
    this.#stopping = true;
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#endProbes();
    if (this.#child?.pid !== undefined && this.running) signalTree(this.#child.pid, 'SIGKILL');
  }

  /** Stops its processes where they are. Nothing is asked of it, and nothing starts it again, until `resume`. */
  pause(): void {
    this.#stopping = true;
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#endProbes();
    this.#ready = false;
    if (this.#child?.pid !== undefined && this.running) signalTree(this.#child.pid, 'SIGSTOP');
  }

  resume(): void {
    if (!this.running || this.#child?.pid === undefined || this.#target === undefined) {
      this.revive();
      return;
    }
    this.#stopping = false;
    signalTree(this.#child.pid, 'SIGCONT');
    this.#beginProbes(this.#target);
  }

  /** Starts it again after `kill`, unless it had ended for good. */
  revive(): void {
    this.#stopping = false;
    this.#backOff = NO_FAILURES;
    if (this.running || this.finished !== undefined) return;
    if (this.#log !== undefined) this.#startAgain(0);
    else if (this.#state.waiting?.reason !== 'ContainerCreating') this.start();
  }

  async #terminate(graceMs: number): Promise<void> {
    const pid = this.#child?.pid;
    if (pid === undefined || !this.running) return;
    if (graceMs <= 0) signalTree(pid, 'SIGKILL');
    else signalProcess(pid, 'SIGTERM');
    const timer = setTimeout(() => signalTree(pid, 'SIGKILL'), graceMs);
    await this.#exited;
    clearTimeout(timer);
  }

  #ended(code: number | null, signal: NodeJS.Signals | null, reason?: string, message?: string): void {
    const number = signal === null ? 0 : constants.signals[signal];
    const exitCode = code ?? 128 + number;
    this.#endProbes();
    this.#ready = false;
    this.#started = false;
    this.#state = {
      terminated: {
        exitCode,
        ...(number === 0 ? {} : { signal: number }),
        reason: reason ?? (exitCode === 0 ? 'Completed' : 'Error'),
        ...(message === undefined ? {} : { message }),
        startedAt: instant(this.#startedMs),
        finishedAt: instant(this.#options.now()),
        ...(this.#child?.pid === undefined ? {} : { containerID: `process://${this.#child.pid}` }),
      },
    };
    if (!this.#stopping && this.#restartsAfter(exitCode)) {
      const { state, delayMs } = nextRestart(this.#backOff, this.#options.now() - this.#startedMs);
      this.#backOff = state;
      this.#startAgain(delayMs);
    }
    this.#options.changed();
  }

  /**
   * Under FallbackToLogsOnError the end of a failed container's log is its termination message. The log is whole only
   * now.
   */
  #keepLastWords(containerID: string, log: ContainerLog): void {
    if (this.container.terminationMessagePolicy !== 'FallbackToLogsOnError') return;
    const explained = (state: ContainerState): ContainerState => {
      const { terminated } = state;
      if (terminated?.containerID !== containerID || terminated.exitCode === 0 || terminated.message !== undefined) return state;
      return { terminated: { ...terminated, message: log.tail() } };
    };
    this.#state = explained(this.#state);
    this.#last = explained(this.#last);
    this.#options.changed();
  }

  #startAgain(delayMs: number): void {
    if (this.#state.terminated !== undefined) {
      this.#last = this.#state;
      this.#restarts += 1;
    }
    if (delayMs > 0) {
      const message = `back-off ${delayMs / 1000}s restarting failed container=${this.container.name}`;
      this.#state = { waiting: { reason: 'CrashLoopBackOff', message } };
      this.#options.event('Warning', 'BackOff', `Back-off restarting failed container ${this.container.name}`);
    }
    this.#retry = setTimeout(() => this.start(), delayMs);
  }

  #restartsAfter(exitCode: number): boolean {
    return this.#policy === 'Always' || (this.#policy === 'OnFailure' && exitCode !== 0);
  }

  #wait(reason: string, message: string): void {
    const told = this.#state.waiting;
    this.#state = { waiting: { reason, message } };
    if (told?.message !== message) this.#options.event('Warning', 'Failed', `Error: ${message}`);
    this.#retry = setTimeout(() => this.start(), 1000);
    this.#options.changed();
  }

  #beginProbes(target: ProbeTarget): void {
    const { startupProbe, livenessProbe, readinessProbe } = this.container;
    const failed = (kind: string) => (message: string) => this.#options.event('Warning', 'Unhealthy', `${kind} probe failed: ${message}`);
    const restart = (kind: string) => (ok: boolean) => {
      if (ok) return;
      this.#options.event('Normal', 'Killing', `Container ${this.container.name} failed ${kind} probe, will be restarted`);
      this.#endProbes();
      void this.#terminate(30_000);
    };
    const begin = (): void => {
      this.#started = true;
      if (readinessProbe === undefined) this.#ready = true;
      else {
        const turned = (ok: boolean): void => {
          this.#ready = ok;
          this.#options.changed();
        };
        this.#probes.push(new ProbeLoop(readinessProbe, target, turned, failed('Readiness'), true));
      }
      if (livenessProbe !== undefined) this.#probes.push(new ProbeLoop(livenessProbe, target, restart('liveness'), failed('Liveness')));
      this.#options.changed();
    };
    if (startupProbe === undefined) {
      begin();
      return;
    }
    const verdict = (ok: boolean): void => {
      if (!ok) return restart('startup')(ok);
      this.#endProbes();
      return begin();
    };
    this.#probes.push(new ProbeLoop(startupProbe, target, verdict, failed('Startup'), true));
  }

  #endProbes(): void {
    for (const probe of this.#probes) probe.stop();
    this.#probes = [];
  }
}
