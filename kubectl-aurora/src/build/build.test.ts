import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildPlugin } from './build.ts';

// Node compiles an HTTP client of its own when anything reads all that node:http exports.
const SAYS_WHAT_WAS_LOADED = `process.on('exit', () => process.stderr.write(process.moduleLoadList.join('\\n')));`;
const KUBECONFIG = `
current-context: here
clusters: [{ name: here, cluster: { server: "https://127.0.0.1:9" } }]
users: [{ name: me, user: { token: abc } }]
contexts: [{ name: here, context: { cluster: here, user: me } }]
`;

let directory = '';
let plugin = '';

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'plugin-'));
  plugin = await buildPlugin(directory);
  writeFileSync(join(directory, 'loaded.cjs'), SAYS_WHAT_WAS_LOADED);
  writeFileSync(join(directory, 'kubeconfig'), KUBECONFIG);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function run(word: string): { readonly stderr: string; readonly status: number | null } {
  const options = ['--require', join(directory, 'loaded.cjs'), plugin, '--kubeconfig', join(directory, 'kubeconfig'), word];
  return spawnSync(process.execPath, options, { encoding: 'utf8', env: { PATH: process.env['PATH'], HOME: directory } });
}

test('the bundle asks an API server, and loads no HTTP client but the one that it asks with', () => {
  const { stderr, status } = run('status');
  expect(stderr).toMatch(/^The connection to the server 127\.0\.0\.1:9 was refused/);
  expect(status).toBe(1);
  expect(stderr).toContain('NativeModule https');
  expect(stderr).not.toContain('undici');
});

test('psql, which forwards ports by the library, is there', () => {
  expect(run('psql').stderr).toMatch(/^The connection to the server 127\.0\.0\.1:9 was refused/);
});
