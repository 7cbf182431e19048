import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { processMark } from '@kube-aurora/process';
import { eventually, runKubectl } from './testing/cluster.ts';

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));
/**
 * Leaves a process in a session of its own, whose parent is not ours: it works in the pod's directory and forgets its
 * environment.
 */
const LEAVES = `
const { spawn } = require('node:child_process'), fs = require('node:fs');
const stray = spawn('/bin/sh', ['-c', 'env -i sleep 1000 & echo $! > stray-pid; wait'], { detached: true, stdio: 'ignore' });
fs.appendFileSync(process.env.DATA_DIR + '/starts', 'x');
setInterval(() => fs.existsSync('stray-pid') && fs.copyFileSync('stray-pid', process.env.DATA_DIR + '/stray-pid'), 50);
`;
const POD = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: data }
spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Mi } } }
---
apiVersion: v1
kind: Pod
metadata: { name: leaves }
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - { name: leaves, image: test/leaves, env: [{ name: DATA_DIR, value: /data }], volumeMounts: [{ name: data, mountPath: /data }] }
  volumes: [{ name: data, persistentVolumeClaim: { claimName: data } }]
`;

/** local-kube as a process of its own, killed with SIGKILL as by a lack of memory. */
describe('a local-kube that was killed', () => {
  let directory: string;
  let running: ChildProcess | undefined;
  const kubectl = (args: string, input?: string): Promise<string> => runKubectl(args.split(' '), path.join(directory, 'kubeconfig'), input);
  const start = async (): Promise<void> => {
    const images = path.join(directory, 'images.json');
    writeFileSync(images, JSON.stringify({ 'test/leaves': { command: [process.execPath, '-e', LEAVES] } }));
    running = spawn(process.execPath, [MAIN, '--data-dir', directory, '--port', '0', '--images', images], { stdio: 'ignore' });
    await eventually(async () => expect(await kubectl('get --raw /readyz')).toBe('ok'));
  };
  const kill = async (): Promise<void> => {
    const ended = new Promise((resolve) => running?.once('exit', resolve));
    running?.kill('SIGKILL');
    await ended;
  };
  const fileOfClaim = async (name: string): Promise<string> => {
    const volume = await kubectl('get pvc data -o jsonpath={.spec.volumeName}');
    return path.join(await kubectl(`get pv ${volume} -o jsonpath={.spec.hostPath.path}`), name);
  };

  beforeAll(async () => {
    directory = mkdtempSync(path.join(tmpdir(), 'local-kube-killed-'));
    await start();
  });
  afterAll(async () => {
    const ended = new Promise((resolve) => running?.once('exit', resolve));
    running?.kill('SIGTERM');
    await ended;
    rmSync(directory, { recursive: true, force: true });
  });

  // Local-kube is started three times, and its pod with it.
  it('comes back on its port with all it had, ends what it left, and runs its pods anew', async () => {
    await kubectl('apply -f -', POD);
    await kubectl('wait --for=condition=Ready pod/leaves --timeout=50s');
    const strayFile = await fileOfClaim('stray-pid');
    const first = await eventually(() => {
      expect(existsSync(strayFile)).toBe(true);
      // Read once: the pod writes it anew all the time.
      const text = readFileSync(strayFile, 'utf8');
      expect(text).toMatch(/^\d+\n/);
      return Number(text);
    });
    const container = Number((await kubectl('get pod leaves -o jsonpath={.status.containerStatuses[0].containerID}')).split('//')[1]);
    const config = readFileSync(path.join(directory, 'kubeconfig'), 'utf8');
    // Twice: what the second one reads was written behind the first one's end.
    for (const round of [1, 2]) {
      await kill();
      expect(processMark(first) !== undefined || round > 1).toBe(true);
      await start();
      expect(readFileSync(path.join(directory, 'kubeconfig'), 'utf8')).toBe(config);
      await eventually(async () => expect(readFileSync(await fileOfClaim('starts'), 'utf8')).toBe('x'.repeat(round + 1)));
      await kubectl(`create configmap round-${round}`);
    }
    expect([processMark(first), processMark(container)]).toEqual([undefined, undefined]);
    expect(await kubectl('get cm round-1 round-2 -o name')).toBe('configmap/round-1\nconfigmap/round-2\n');
    await eventually(async () =>
      expect(await kubectl('get pod leaves -o jsonpath={.status.containerStatuses[0].lastState.terminated.message}')).toBe(
        'local-kube was restarted',
      ),
    );
  }, 180_000);

  it('leaves nothing running of a pod that is deleted', async () => {
    const stray = await eventually(async () => {
      const pid = Number(readFileSync(await fileOfClaim('stray-pid'), 'utf8'));
      expect(processMark(pid)).toBeDefined();
      return pid;
    });
    await kubectl('delete pod leaves --timeout=50s');
    await eventually(() => expect(processMark(stray)).toBeUndefined());
  });
});
