import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it, test } from 'vitest';
import { systemClock } from '@kube-aurora/clock';
import { createLogger } from '@kube-aurora/process';
import { readMaterial, TLS_FILES, type MaterialFiles } from './material.ts';
import { filesOf, newAuthority } from './testing/programs.ts';
import { TlsDirectory } from './tls-directory.ts';

const authority = await newAuthority();
const files = await filesOf({ authority, role: 'storage' });
const later = await filesOf({ authority, role: 'storage' });

it('takes what belongs together', () => {
  const reading = readMaterial(files);
  expect(reading).toMatchObject({
    kind: 'usable',
    material: { own: { namespace: 'default', cluster: 'demo', role: 'storage' }, mode: 'require' },
  });
  expect(readMaterial({ ...files, mode: 'permit\n' })).toMatchObject({ material: { mode: 'permit' } });
});

test.each<[string, Partial<MaterialFiles>, RegExp]>([
  ['a file that is missing', { key: undefined }, /tls\.key is not there/],
  ['a certificate that is cut off', { certificate: files.certificate?.slice(0, 200) }, /tls\.crt is no certificate/],
  ['the key of the certificate before', { key: later.key }, /tls\.key is not the key/],
  ['no authority', { authorities: '' }, /ca\.crt has no authority/],
  ['a certificate that nobody would believe', { authorities: (await newAuthority()).certificate }, /issued by no authority/],
  ['the authority’s own certificate', { certificate: authority.certificate, key: authority.key }, /does not say who we are/],
  ['a mode that there is not', { mode: 'maybe' }, /permit, prefer, require/],
])('says what is wrong with %s', (_what, change, problem) => {
  const reading = readMaterial({ ...files, ...change });
  expect(reading.kind === 'unusable' ? reading.problem : '').toMatch(problem);
});

it('a program goes over to new certificates once all of them are there, and says so until then', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'tls-'));
  const write = async (what: Partial<MaterialFiles>): Promise<void> => {
    for (const [key, text] of Object.entries(what))
      await writeFile(path.join(directory, TLS_FILES[key as keyof MaterialFiles]), text ?? '');
  };
  const { mode: _none, ...given } = files;
  await write(given);
  const lines: string[] = [];
  // Two seconds are as ten milliseconds here.
  const clock = { ...systemClock(), sleep: (_ms: number, signal?: AbortSignal) => systemClock().sleep(10, signal) };
  const logger = createLogger('test', { level: 'info', destination: { write: (line) => void lines.push(line) } });
  const opened = await TlsDirectory.open({ directory, clock, logger });
  await write({ certificate: later.certificate });
  await expect.poll(() => opened.status.problem).toMatch(/tls\.key is not the key/);
  expect(opened.material.certificate.pem.trim()).toBe(files.certificate?.trim());
  await write({ key: later.key });
  await expect.poll(() => opened.material.certificate.pem.trim()).toBe(later.certificate?.trim());
  expect(opened.status.problem).toBeUndefined();
  expect(lines.filter((line) => line.includes('those from before stay in use'))).toHaveLength(1);
  await rm(directory, { recursive: true });
  await expect.poll(() => opened.problem).toMatch(/is not there/);
  expect(opened.material.certificate.pem.trim()).toBe(later.certificate?.trim());
  opened.stop();
});

it('a program does not begin without certificates', async () => {
  const logger = createLogger('test', { level: 'silent' });
  await expect(TlsDirectory.open({ directory: '/nowhere', clock: systemClock(), logger })).rejects.toThrow(
    /AURORA_IDENTITY_DIR.*tls\.crt is not there/,
  );
});
