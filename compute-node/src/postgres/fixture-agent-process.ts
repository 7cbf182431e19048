/**
 * Runs a fixture agent as a process of its own, for tests that kill it. Prints one line of JSON when PostgreSQL is
 * ready.
 */
import { FixtureAgent, fixtureVolume } from './fixture-agent.ts';

const volume = await fixtureVolume();
const agent = await new FixtureAgent(volume).start();
process.stdout.write(`${JSON.stringify({ postmaster: agent.postgres.pid, socketDir: agent.socketDir, dir: volume.dir })}\n`);
setInterval(() => undefined, 60_000);
