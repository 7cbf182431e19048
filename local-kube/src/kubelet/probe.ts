import { spawn } from 'node:child_process';
import http from 'node:http';
import net from 'node:net';
import type { Container, Probe } from '../kinds.ts';

export interface ProbeResult {
  readonly ok: boolean;
  readonly message: string;
}

/** Where and how a container's probes run. */
export interface ProbeTarget {
  readonly ip: string;
  readonly container: Container;
  readonly env: { readonly [name: string]: string };
  readonly cwd: string;
  /** Turns a command's mount paths into this machine's. */
  readonly rewrite: (text: string) => string;
}

/** Runs one probe once; it fails when it takes longer than its timeout. */
export async function runProbe(probe: Probe, target: ProbeTarget): Promise<ProbeResult> {
  const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000;
  try {
    if (probe.httpGet !== undefined) return await httpProbe(probe.httpGet, target, timeoutMs);
    if (probe.tcpSocket !== undefined)
      return await tcpProbe(probe.tcpSocket.host ?? target.ip, portOf(probe.tcpSocket.port, target), timeoutMs);
    if (probe.exec !== undefined) return await execProbe(probe.exec.command ?? [], target, timeoutMs);
    return { ok: false, message: 'the probe has no httpGet, tcpSocket or exec (grpc is not supported here)' };
  } catch (error) {
    return { ok: false, message: error instanceof Error ? error.message : String(error) };
  }
}

function portOf(port: number | string, { container }: ProbeTarget): number {
  if (typeof port === 'number') return port;
  const named = container.ports?.find((one) => one.name === port)?.containerPort ?? Number(port);
  if (Number.isNaN(named)) throw new Error(`couldn't find port: ${port}`);
  return named;
}

function httpProbe(get: NonNullable<Probe['httpGet']>, target: ProbeTarget, timeoutMs: number): Promise<ProbeResult> {
  const host = get.host ?? target.ip;
  const port = portOf(get.port, target);
  const headers = Object.fromEntries((get.httpHeaders ?? []).map((header) => [header.name, header.value]));
  return new Promise((resolve, reject) => {
    const request = http.get(
      {
        host,
        port,
        path: get.path ?? '/',
        headers: { 'user-agent': 'kube-probe/1.32', ...headers },
        agent: false,
        signal: AbortSignal.timeout(timeoutMs),
      },
      (response) => {
        response.resume();
        const code = response.statusCode ?? 0;
        const ok = code >= 200 && code < 400;
        resolve({ ok, message: ok ? 'ok' : `HTTP probe failed with statuscode: ${code}` });
      },
    );
    request.on('error', (error) =>
      reject(
        new Error(
          `Get "http://${host}:${port}${get.path ?? '/'}": ${error.name === 'AbortError' ? 'context deadline exceeded' : error.message}`,
        ),
      ),
    );
  });
}

function tcpProbe(host: string, port: number, timeoutMs: number): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port });
    const finish = (result: ProbeResult): void => {
      socket.destroy();
      resolve(result);
    };
    socket.setTimeout(timeoutMs, () => finish({ ok: false, message: `dial tcp ${host}:${port}: i/o timeout` }));
    socket.on('connect', () => finish({ ok: true, message: 'ok' }));
    socket.on('error', (error) => finish({ ok: false, message: `dial tcp ${host}:${port}: ${error.message}` }));
  });
}

function execProbe(command: readonly string[], target: ProbeTarget, timeoutMs: number): Promise<ProbeResult> {
  const [program = '', ...args] = command.map((word) => target.rewrite(word));
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      env: { ...target.env },
      cwd: target.cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    });
    let output = '';
    const collect = (chunk: Buffer): void => {
      if (output.length < 4096) output += chunk.toString();
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.on('error', (error) => resolve({ ok: false, message: error.message }));
    child.on('close', (code, signal) =>
      resolve({
        ok: code === 0,
        message:
          code === 0 ? 'ok' : signal === null ? output.trim() || `exit code ${String(code)}` : `command timed out after ${timeoutMs} ms`,
      }),
    );
  });
}

/** How often a program that has yet to get there is looked at, and how many times before that becomes once a second. */
const EAGER_MS = 200;
const EAGER_LOOKS = 150;

/**
 * Runs a probe over and over and tells when its verdict turns: after failureThreshold failures, or successThreshold
 * successes.
 */
export class ProbeLoop {
  readonly #probe: Probe;
  readonly #target: ProbeTarget;
  readonly #verdict: (ok: boolean, message: string) => void;
  readonly #failed: (message: string) => void;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #state: boolean | undefined;
  #inRow = 0;
  #last: boolean | undefined;
  /** Asks often, until the first success. */
  #settling: boolean;
  #looks = 0;
  /** Looks since the last one that counted. */
  #extra = 0;

  /**
   * `failed` hears of each failure; `verdict` of each change of mind, and `eager` asks often until the first success.
   */
  constructor(
    probe: Probe,
    target: ProbeTarget,
    verdict: (ok: boolean, message: string) => void,
    failed: (message: string) => void,
    eager = false,
  ) {
    this.#settling = eager && probe.initialDelaySeconds === undefined;
    this.#probe = probe;
    this.#target = target;
    this.#verdict = verdict;
    this.#failed = failed;
    this.#next((probe.initialDelaySeconds ?? 0) * 1000);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #next(delayMs: number): void {
    this.#timer = setTimeout(() => void this.#round(), delayMs);
  }

  async #round(): Promise<void> {
    const { ok, message } = await runProbe(this.#probe, this.#target);
    if (this.#stopped) return;
    const periodMs = (this.#probe.periodSeconds ?? 10) * 1000;
    if (ok) this.#settling = false;
    const counts = !this.#settling || this.#extra === 0;
    if (counts) this.#count(ok, message);
    // Only one look of a period counts; those between are there to see a success early.
    const lookMs = this.#settling ? (this.#looks++ < EAGER_LOOKS ? EAGER_MS : 1000) : periodMs;
    const extras = Math.max(1, Math.round(periodMs / lookMs));
    this.#extra = (this.#extra + 1) % extras;
    this.#next(periodMs / extras);
  }

  #count(ok: boolean, message: string): void {
    this.#inRow = ok === this.#last ? this.#inRow + 1 : 1;
    this.#last = ok;
    const enough = ok ? (this.#probe.successThreshold ?? 1) : (this.#probe.failureThreshold ?? 3);
    if (this.#inRow >= enough && this.#state !== ok) {
      this.#state = ok;
      this.#verdict(ok, message);
    }
    // A process that is still starting is no news; one that was ready, or never gets there, is.
    if (!ok && (this.#state !== undefined || this.#inRow >= enough)) this.#failed(message);
  }
}
