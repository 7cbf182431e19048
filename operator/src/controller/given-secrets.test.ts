import { expect, test } from 'vitest';
import type { KubeObject } from '../kube/objects.ts';
import { GivenSecrets } from './given-secrets.ts';

test('a Secret is watched once, for as long as a cluster names it, and tells every cluster that does', () => {
  const running = new Map<string, (secret: KubeObject) => void>();
  const told: string[] = [];
  const secrets = new GivenSecrets({
    watch: (namespace, name, onChange) => ({
      start: () => {
        expect(running.has(`${namespace}/${name}`)).toBe(false);
        running.set(`${namespace}/${name}`, onChange);
      },
      stop: () => void running.delete(`${namespace}/${name}`),
    }),
    onCluster: (key) => void told.push(key),
  });
  secrets.follow('default/a', 'default', ['login', 'admin']);
  secrets.follow('default/a', 'default', ['login', 'admin']);
  secrets.follow('default/b', 'default', ['login']);
  expect([...running.keys()]).toEqual(['default/login', 'default/admin']);
  running.get('default/login')?.({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'login', namespace: 'default' } });
  expect(told).toEqual(['default/a', 'default/b']);
  secrets.follow('default/a', 'default', ['other']);
  expect([...running.keys()]).toEqual(['default/login', 'default/other']);
  secrets.forget('default/b');
  secrets.forget('default/a');
  expect([...running.keys()]).toEqual([]);
});
