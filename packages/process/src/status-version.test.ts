import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { serveStatus, StatusVersion } from './index.ts';

describe('a status with a version', () => {
  it('holds the status back until it is another, for as long as is asked', async () => {
    const version = new StatusVersion('here');
    const server = await serveStatus({
      listen: '127.0.0.1:0',
      registry: new Registry(),
      live: () => ({ ok: true, message: 'ok' }),
      ready: () => ({ ok: true, message: 'ok' }),
      status: () => ({ version: version.value }),
      version,
    });
    const get = async (query: string): Promise<string> => (await fetch(`http://127.0.0.1:${server.port}/status${query}`)).text();
    const after = (value: string, waitMs: number): string => `?after=${encodeURIComponent(value)}&waitMs=${waitMs}`;
    const now = '{"version":"here/0"}\n';
    expect(await get('')).toBe(now);
    // Of an earlier process, and after the time.
    expect(await get(after('before/0', 30_000))).toBe(now);
    expect(await get(after('here/0', 1))).toBe(now);
    const waiting = get(after('here/0', 30_000));
    const gone = new AbortController();
    const left = fetch(`http://127.0.0.1:${server.port}/status${after('here/0', 30_000)}`, { signal: gone.signal });
    // Both wait once a third, asked later, was answered.
    await get('');
    gone.abort();
    await expect(left).rejects.toThrow(/abort/);
    version.changed();
    expect(await waiting).toBe('{"version":"here/1"}\n');
    // A change between an answer and the next question is not missed.
    version.changed();
    expect(await get(after('here/1', 30_000))).toBe('{"version":"here/2"}\n');
    for (const wrong of ['?after=x', '?waitMs=5', '?after=x&waitMs=soon'])
      expect((await fetch(`http://127.0.0.1:${server.port}/status${wrong}`)).status).toBe(400);
    await server.close();
  });
});
