import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { FileJournal } from '../store/journal.ts';
import { Store } from '../store/store.ts';
import { chooseNetwork } from './network.ts';

test('two that choose at the same time get different addresses, and one that goes gives its own back', async () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'ka-network-'));
  // The same directory name prefers the same addresses.
  const choose = (file: string) =>
    chooseNetwork(path.join(directory, file), directory, new Store(new FileJournal(path.join(directory, `${file}-state`))));
  const [first, second] = await Promise.all([choose('a'), choose('b')]);
  expect(first.network.servicePrefix).not.toBe(second.network.servicePrefix);
  first.release();
  const again = await choose('a');
  expect(again.network).toEqual(first.network);
  again.release();
  second.release();
  rmSync(directory, { recursive: true });
});
