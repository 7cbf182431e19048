import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Pod } from '../kinds.ts';
import { NO_FAILURES, nextRestart } from './back-off.ts';
import { ContainerLog, readLog } from './container-log.ts';
import { containerEnvironment, expand, rewriteMounts } from './environment.ts';
import { imageName, parseImageMap, programOf } from './image-map.ts';
import { prepareVolumes } from './volumes.ts';

describe('restarts', () => {
  it('come at once, then later and later, and start over after a healthy while', () => {
    let state = NO_FAILURES;
    const delays: number[] = [];
    for (let index = 0; index < 8; index += 1) {
      const next = nextRestart(state, 100);
      state = next.state;
      delays.push(next.delayMs);
    }
    expect(delays).toEqual([0, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
    expect(nextRestart(state, 10_000).delayMs).toBe(0);
  });
});

describe('environment', () => {
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'n', uid: 'u', labels: { app: 'web' } },
    spec: { nodeName: 'node-a', containers: [] },
    status: { podIP: '127.1.2.3' },
  };
  const references = {
    secret: (name: string) =>
      name === 's'
        ? { apiVersion: 'v1', kind: 'Secret', metadata: { name }, data: { k: Buffer.from('geheim').toString('base64') } }
        : undefined,
    configMap: () => undefined,
  };

  it('resolves fields, secrets and references to earlier variables', () => {
    const env = containerEnvironment(
      pod,
      {
        name: 'c',
        env: [
          { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
          { name: 'APP', valueFrom: { fieldRef: { fieldPath: "metadata.labels['app']" } } },
          { name: 'PW', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } },
          { name: 'ADDRESS', value: '$(IP):80 $$(IP) $(NONE)' },
          { name: 'GONE', valueFrom: { configMapKeyRef: { name: 'x', key: 'k', optional: true } } },
        ],
      },
      references,
    );
    expect(env).toEqual({ IP: '127.1.2.3', APP: 'web', PW: 'geheim', ADDRESS: '127.1.2.3:80 $(IP) $(NONE)' });
  });

  it('says what is missing', () => {
    const needs = (key: string, name: string) => () =>
      containerEnvironment(pod, { name: 'c', env: [{ name: 'X', valueFrom: { secretKeyRef: { name, key } } }] }, references);
    expect(needs('k', 'other')).toThrow('secret "other" not found');
    expect(needs('z', 's')).toThrow("couldn't find key z in secret s");
  });

  it('mounts a key that a Secret lacks only where it is optional: as no file', () => {
    const home = mkdtempSync(path.join(tmpdir(), 'volumes-'));
    const sources = { ...references, claimDirectory: () => undefined, serviceAccountToken: () => undefined };
    const items = ['k', 'z'].map((key) => ({ key, path: key }));
    const mounting = (optional: boolean): Pod => ({
      ...pod,
      spec: { ...pod.spec, volumes: [{ name: 'v', secret: { secretName: 's', items, optional } }] },
    });
    expect(() => prepareVolumes(mounting(false), home, sources)).toThrow('references non-existent key z in secret "s"');
    expect(readdirSync(prepareVolumes(mounting(true), home, sources).get('v') ?? '')).toEqual(['k']);
    rmSync(home, { recursive: true });
  });

  it('leaves unknown references alone', () => {
    expect(expand('$(A)-$(B)', { A: '1' })).toBe('1-$(B)');
  });

  it('puts the host directory where a mount path begins', () => {
    const mounts = [
      { mountPath: '/data', hostPath: '/h/d' },
      { mountPath: '/data/deep/', hostPath: '/h/deep' },
    ];
    expect(
      ['/data', '/data/x', '/data/deep/x', '/database', 'x/data', '--dir=/data/x', '--flag'].map((text) => rewriteMounts(text, mounts)),
    ).toEqual(['/h/d', '/h/d/x', '/h/deep/x', '/database', 'x/data', '--dir=/h/d/x', '--flag']);
  });
});

describe('images', () => {
  it('are found without tag, digest and registry', () => {
    const images = parseImageMap({ 'team/app': { command: ['x'] } }, 'test');
    expect(imageName('localhost:5000/team/app:1.2@sha256:0f')).toBe('localhost:5000/team/app');
    expect(programOf(images, 'team/app:7')?.command).toEqual(['x']);
    expect(programOf(images, 'ghcr.io/team/app')?.command).toEqual(['x']);
    expect(programOf(images, 'team/other')).toBeUndefined();
  });

  it('are refused with the name of the entry that is wrong', () => {
    expect(() => parseImageMap({ a: { command: 'x' } }, 'file.json')).toThrow('file.json: image \'a\' needs "command"');
  });
});

describe('container logs', () => {
  it('keep lines with their time, tell followers, and stay bounded', () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'local-kube-log-'));
    try {
      const file = path.join(directory, 'c', '0.log');
      const log = new ContainerLog(file, () => Date.UTC(2026, 0, 1));
      const followed: string[] = [];
      let ended = false;
      log.follow(
        (line) => followed.push(line),
        () => (ended = true),
      );
      log.write('stdout', 'one\ntw');
      log.write('stderr', 'err\n');
      log.write('stdout', 'o\nlast');
      log.end();
      const expected = ['one', 'err', 'two', 'last'].map((text) => `2026-01-01T00:00:00.000Z ${text}`);
      expect(readLog(file)).toEqual(expected);
      expect(followed).toEqual(expected);
      expect(ended).toBe(true);
      const chatty = new ContainerLog(file, Date.now);
      for (let index = 0; index < 400; index += 1) chatty.write('stdout', `${'x'.repeat(60_000)}\n`);
      chatty.end();
      expect(readLog(file).join('\n').length).toBeLessThan(17 * 1024 * 1024);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
