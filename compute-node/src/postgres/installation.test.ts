import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { InstallationError, postgresInstallation } from './installation.ts';

let bin: string;

beforeEach(() => {
  bin = mkdtempSync(join(tmpdir(), 'installation-'));
});
afterEach(() => rmSync(bin, { recursive: true, force: true }));

/** A program that says of itself which PostgreSQL it is. */
function saying(version: string): void {
  const program = join(bin, 'postgres');
  writeFileSync(program, `#!/bin/sh\necho '${version}'\n`);
  chmodSync(program, 0o755);
}

it.each(['postgres (PostgreSQL) 18.4', 'postgres (PostgreSQL) 18beta1', 'postgres (PostgreSQL) 18.1 (Debian 18.1-1)'])(
  'takes %s',
  (version) => {
    saying(version);
    expect(postgresInstallation(bin, undefined, join(bin, 'copy')).postgres).toBe(join(bin, 'postgres'));
  },
);

it.each(['postgres (PostgreSQL) 17.9', 'postgres (PostgreSQL) 19.0', 'postgres (PostgreSQL) 180.1', 'postgres 18.4'])(
  'refuses %s, and says what to do',
  (version) => {
    saying(version);
    const refused = `${join(bin, 'postgres')} is '${version}', and this compute runs PostgreSQL 18: let AURORA_PG_BIN name the bin directory of one`;
    expect(() => postgresInstallation(bin, undefined, join(bin, 'copy'))).toThrow(new InstallationError(refused));
  },
);
