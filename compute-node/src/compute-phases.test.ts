import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import type { GiveBackLeaseRequest, SegmentApi } from '@kube-aurora/rpc';
import { computePhases } from './compute-phases.ts';
import { readAgentConfig, type AgentConfig } from './config.ts';
import { noteEpoch, noteWriter } from './lease/earlier-writers.ts';
import type { PostgresPaths } from './postgres-paths.ts';
import { RolePasswords } from './postgres/role-passwords.ts';
import { WrittenDirectory } from './postgres/written-directory.ts';
import type { SegmentEndpoint } from './segments.ts';
import { PostgresSettings } from './settings/postgres-settings.ts';
import type { TrialVerdict } from './settings/settings-trial.ts';
import { accessFiles } from './access/access-files.ts';
import { LoginRules } from './access/login-rules.ts';
import { ServerTls } from './tls/server-tls.ts';
import { settingsFiles } from './settings/settings-files.ts';

let directory: string;
let paths: PostgresPaths;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'phases-'));
  paths = { dataDir: join(directory, 'pgdata'), writersFile: join(directory, 'writers') } as PostgresPaths;
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const ENV = {
  AURORA_VOLUME_ID: '00000000-0000-4000-8000-000000000001',
  AURORA_STORAGE: Array.from({ length: 6 }, (_, index) => `d${index}=zone-${index >> 1}=127.0.0.1:${7100 + index}/${7200 + index}`).join(),
  AURORA_DATA_DIR: '/none',
  AURORA_ZONE: 'zone-0',
  AURORA_INSTANCE: 'demo-2',
  AURORA_SUPERUSER_PASSWORD_FILE: '/none',
  AURORA_APP_PASSWORD_FILE: '/none',
  AURORA_APP_USER: 'app',
  AURORA_APP_DATABASE: 'app',
};

const configOf = (env: Readonly<Record<string, string>>): AgentConfig => readAgentConfig({ ...ENV, ...env }, []);

/** What an agent of that role tells storage when it starts; segments of `away` never answer. */
async function startsWith(role: string, away: readonly number[] = []): Promise<GiveBackLeaseRequest[]> {
  const told: GiveBackLeaseRequest[] = [];
  const segments: SegmentEndpoint[] = Array.from({ length: 6 }, (_, index) => ({
    index,
    id: `d${index}`,
    zone: `zone-${index >> 1}`,
    role: 'FULL',
    client: {
      giveBackLease: (request: GiveBackLeaseRequest) => {
        if (index === 0 || away.includes(0)) told.push(request);
        return away.includes(index) ? new Promise(() => undefined) : Promise.resolve({ others: [] });
      },
    } as unknown as SegmentApi,
  }));
  const clock = systemClock();
  const logger = silentLogger();
  const trial = (): Promise<TrialVerdict> => Promise.resolve({ kind: 'passed' });
  const settings = new PostgresSettings({
    files: settingsFiles(undefined),
    trial,
    clock,
    logger,
  });
  const rules = new LoginRules({ files: accessFiles(undefined), clock, logger });
  const tls = new ServerTls({
    directory: undefined,
    clientCaFile: undefined,
    runDir: paths.runDir,
    account: undefined,
    trial,
    clock,
    logger,
  });
  const passwords = new RolePasswords({ roles: [], clock, logger });
  const written = new WrittenDirectory({ clock, logger });
  const place = { tier: 1, failoverAfterMs: 2000, drainMs: 0, warmPagesPerSecond: 0 };
  const config = configOf({ AURORA_ROLE: role });
  const { phases } = computePhases({ config, paths, segments, settings, rules, tls, directory: written, place, passwords, clock, logger });
  await phases.clear();
  return told;
}

describe('an agent that starts where another ran', () => {
  it('says at once of each epoch of that one that its PostgreSQL is dead', async () => {
    noteWriter(paths.writersFile, 'demo-2/first');
    noteEpoch(paths.writersFile, 'demo-2/first', 7n);
    noteWriter(paths.writersFile, 'demo-2/never-opened');
    expect(await startsWith('auto')).toEqual([
      { segment: { volumeId: ENV.AURORA_VOLUME_ID, pg: 0 }, epoch: 7n, writerId: 'demo-2/first', reopens: false },
    ]);
    // One that opens the volume whoever has it takes no reader's help.
    expect(await startsWith('writer')).toMatchObject([{ epoch: 7n, reopens: true }]);
  });

  it('tells nobody anything in a new directory, and waits for no daemon that does not answer', async () => {
    expect(await startsWith('auto')).toEqual([]);
    noteWriter(paths.writersFile, 'demo-2/first');
    noteEpoch(paths.writersFile, 'demo-2/first', 7n);
    expect(await startsWith('auto', [3, 4, 5])).toHaveLength(1);
  });
});

describe("the writer's port", () => {
  const PORT = { AURORA_PG_WRITER_PORT: '5435', AURORA_INSTANCES: '*.demo-instances.default.svc:5432' };

  it('is none unless given, and needs to know where the other computes are', () => {
    expect(configOf({}).writerPort).toBeUndefined();
    expect(configOf(PORT).writerPort).toEqual({ port: 5435, instances: { host: '*.demo-instances.default.svc', port: 5432 } });
    for (const instances of ['', 'demo:5432', '*.*:5432', '*.demo-instances'])
      expect(() => configOf({ ...PORT, AURORA_INSTANCES: instances })).toThrow(
        `AURORA_PG_WRITER_PORT): needs --instances (AURORA_INSTANCES), as '*.demo-instances.default.svc:5432', not '${instances}'`,
      );
    expect(() => configOf({ ...PORT, AURORA_PG_WRITER_PORT: '5432' })).toThrow(/5432 is PostgreSQL's first port \(AURORA_PG_LISTEN\)/);
  });
});

describe('the settings of an election', () => {
  it('have values that work unless given, and are what they say', () => {
    expect(configOf({})).toMatchObject({ role: 'writer', promotionTier: 1, failoverAfterMs: 2000 });
    expect(configOf({ AURORA_ROLE: 'auto', AURORA_PROMOTION_TIER: '0', AURORA_FAILOVER_AFTER_MS: '5000' })).toMatchObject({
      role: 'auto',
      promotionTier: 0,
      failoverAfterMs: 5000,
    });
  });

  it('are refused where they make no sense, by name and with what would', () => {
    expect(() => configOf({ AURORA_ROLE: 'primary' })).toThrow(/AURORA_ROLE.*one of writer, reader, auto/);
    expect(() => configOf({ AURORA_PROMOTION_TIER: '16' })).toThrow(/AURORA_PROMOTION_TIER.*from 0 to 15/);
    expect(() => configOf({ AURORA_FAILOVER_AFTER_MS: '499' })).toThrow(/AURORA_FAILOVER_AFTER_MS.*from 500 to 60000/);
    expect(() => configOf({ AURORA_ROLE: 'auto', AURORA_FAILOVER_AFTER_MS: '600', AURORA_LEASE_MS: '5000' })).toThrow(
      /AURORA_FAILOVER_AFTER_MS\) must be at least half of --lease-ms \(AURORA_LEASE_MS\), 2500/,
    );
    // Nobody is elected by it.
    expect(configOf({ AURORA_LEASE_MS: '5000' })).toMatchObject({ role: 'writer', leaseMs: 5000 });
  });
});
