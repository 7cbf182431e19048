import { mkdtempSync, rmSync, appendFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { FileJournal, memoryJournal } from './journal.ts';
import type { KubeObject } from './object.ts';
import { parseFieldSelector, parseLabelSelector } from './selectors.ts';
import { Store } from './store.ts';

const object = (name: string, labels: { [key: string]: string } = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default', labels },
});

describe('Store', () => {
  const directories: string[] = [];
  const directory = (): string => {
    const made = mkdtempSync(path.join(tmpdir(), 'local-kube-store-'));
    directories.push(made);
    return made;
  };
  afterEach(() => {
    for (const one of directories.splice(0)) rmSync(one, { recursive: true });
  });

  it('gives every change the next version and tells listeners in order', () => {
    const store = new Store(memoryJournal());
    const seen: string[] = [];
    store.subscribe((change) => seen.push(`${change.type} ${change.object.metadata.name} ${change.rv}`));
    store.put('configmaps', object('a'));
    store.put('configmaps', object('a'));
    store.delete('configmaps', 'default', 'a');
    expect(seen).toEqual(['ADDED a 1', 'MODIFIED a 2', 'DELETED a 3']);
  });

  it('forgets old changes and says so', () => {
    const store = new Store(memoryJournal(), 10);
    for (let index = 0; index < 25; index += 1) store.put('configmaps', object(`o${index}`));
    expect(store.changesSince('configmaps', 0)).toBeUndefined();
    expect(store.changesSince('configmaps', 20)?.map((change) => change.rv)).toEqual([21, 22, 23, 24, 25]);
  });

  it('comes back as it was, without a close, with a torn last line, and never reuses a version', () => {
    const at = directory();
    const store = new Store(new FileJournal(at));
    store.put('configmaps', object('a'));
    store.put('configmaps', object('b'));
    store.delete('configmaps', 'default', 'a');
    appendFileSync(path.join(at, 'journal.jsonl'), '{"rv":9,"resource":"confi');
    const again = new Store(new FileJournal(at));
    expect(again.list('configmaps').map((one) => one.metadata.name)).toEqual(['b']);
    expect(again.put('configmaps', object('c')).metadata.resourceVersion).toBe('4');
    // Killed a second time, without a close: what was written behind the torn line is there too.
    expect(new Store(new FileJournal(at)).list('configmaps').map((one) => one.metadata.name)).toEqual(['b', 'c']);
    again.close();
    const third = new Store(new FileJournal(at));
    expect(third.list('configmaps').map((one) => one.metadata.name)).toEqual(['b', 'c']);
    expect(third.resourceVersion).toBe(4);
  });
});

describe('selectors', () => {
  it.each([
    ['app=web', true],
    ['app==web,tier', true],
    ['app!=web', false],
    ['app in (web, db),!gone', true],
    ['app notin (web)', false],
    ['other notin (web)', true],
    ['!app', false],
    ['', true],
  ])('%s', (selector, matches) => {
    expect(parseLabelSelector(selector)(object('a', { app: 'web', tier: 'x' }))).toBe(matches);
  });

  it('refuses what it cannot read', () => {
    expect(() => parseLabelSelector('a=b=c d')).toThrow("found '=', expected: ',' or 'end of string'");
    expect(() => parseLabelSelector('a b')).toThrow('unable to parse requirement');
  });

  it('reads fields, absent ones as empty', () => {
    expect(parseFieldSelector('metadata.name=a,spec.nodeName=')(object('a'))).toBe(true);
    expect(parseFieldSelector('metadata.name!=a')(object('a'))).toBe(false);
  });
});
