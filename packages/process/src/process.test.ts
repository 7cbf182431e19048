import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { ConfigError, Shutdown, parseAddress, readConfig, serveStatus, setting, silentLogger, type ConfigSchema } from './index.ts';

const SCHEMA = {
  dataDir: { env: 'AURORA_DATA_DIR', description: 'where data lives', type: setting.text() },
  listen: { env: 'AURORA_LISTEN', description: 'gRPC address', type: setting.address('0.0.0.0:7001') },
  count: { env: 'AURORA_COUNT', description: 'how many', type: setting.integer(1, 6, 6) },
  mode: { env: 'AURORA_MODE', description: 'which way', type: setting.choice(['fast', 'safe'], 'safe') },
} satisfies ConfigSchema;

describe('readConfig', () => {
  it('takes flags over environment over defaults', () => {
    const config = readConfig(SCHEMA, { AURORA_DATA_DIR: '/env', AURORA_COUNT: '3' }, ['--data-dir', '/flag']);
    expect(config).toEqual({ dataDir: '/flag', listen: '0.0.0.0:7001', count: 3, mode: 'safe' });
  });
  it('names every wrong setting, its variable and the fix', () => {
    const read = (): unknown => readConfig(SCHEMA, { AURORA_COUNT: 'seven', AURORA_LISTEN: 'nowhere', AURORA_MODE: 'x' }, []);
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(/--data-dir \(AURORA_DATA_DIR.*is required/);
    expect(read).toThrow(/AURORA_COUNT.*whole number from 1 to 6, not 'seven'/);
    expect(read).toThrow(/AURORA_LISTEN.*host:port/);
    expect(read).toThrow(/AURORA_MODE.*one of fast, safe/);
    expect(() => readConfig(SCHEMA, {}, ['--nope', '1'])).toThrow(/nope/);
  });
  it('reads addresses', () => {
    expect(parseAddress(':70')).toEqual({ host: '0.0.0.0', port: 70 });
    expect(parseAddress('[::1]:70')).toEqual({ host: '::1', port: 70 });
    expect(parseAddress('h:99999')).toBeUndefined();
  });
});

describe('Shutdown', () => {
  it('runs steps last first, once, and survives one that fails or hangs', async () => {
    const order: string[] = [];
    const shutdown = new Shutdown(silentLogger());
    shutdown.add('first', () => void order.push('first'));
    shutdown.add('hangs', () => new Promise(() => {}), 20);
    shutdown.add('fails', () => Promise.reject(new Error('no')));
    shutdown.add('last', () => void order.push('last'));
    await Promise.all([shutdown.run(), shutdown.run()]);
    expect(order).toEqual(['last', 'first']);
  });
});

describe('serveStatus', () => {
  it('answers health, readiness, status and metrics', async () => {
    const server = await serveStatus({
      listen: '127.0.0.1:0',
      registry: new Registry(),
      live: () => ({ ok: true, message: 'ok' }),
      ready: () => ({ ok: false, message: 'opening' }),
      status: () => ({ vdl: 12n }),
    });
    const get = async (path: string): Promise<[number, string]> => {
      const response = await fetch(`http://127.0.0.1:${server.port}${path}`);
      return [response.status, await response.text()];
    };
    expect(await get('/healthz')).toEqual([200, 'ok\n']);
    expect(await get('/readyz')).toEqual([503, 'opening\n']);
    expect(await get('/status')).toEqual([200, '{"vdl":"12"}\n']);
    expect((await get('/metrics'))[0]).toBe(200);
    expect((await get('/else'))[0]).toBe(404);
    await server.close();
  });

  it('does what it is asked to with POST alone, and says what came of it', async () => {
    let asked = 0;
    const server = await serveStatus({
      listen: '127.0.0.1:0',
      registry: new Registry(),
      live: () => ({ ok: true, message: 'ok' }),
      ready: () => ({ ok: true, message: 'ok' }),
      status: () => ({}),
      actions: {
        '/promote': () => Promise.resolve({ accepted: ++asked === 1, message: asked === 1 ? 'has begun' : 'is the writer already' }),
        '/fail': () => Promise.reject(new Error('of no use')),
      },
    });
    const ask = async (path: string, method: string): Promise<[number, unknown]> => {
      const response = await fetch(`http://127.0.0.1:${server.port}${path}`, { method });
      return [response.status, await response.json()];
    };
    expect(await ask('/promote', 'GET')).toEqual([405, { accepted: false, message: '/promote changes something: ask with POST' }]);
    expect(asked).toBe(0);
    expect(await ask('/promote', 'POST')).toEqual([202, { accepted: true, message: 'has begun' }]);
    expect(await ask('/promote', 'POST')).toEqual([409, { accepted: false, message: 'is the writer already' }]);
    expect(await ask('/fail', 'POST')).toEqual([500, { accepted: false, message: 'Error: of no use' }]);
    await server.close();
  });
});
