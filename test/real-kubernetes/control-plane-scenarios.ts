/** Scenarios in which Kubernetes itself, or the operator, is away at a bad time. */
import { setTimeout as delay } from 'node:timers/promises';
import { deletePod, failoverNote, type Scenario } from './scenarios.ts';
import { shell } from './shell.ts';

/** After the writer's death: before anybody can have noticed, while the place is taken, when it has just been. */
const MOMENTS_MS = [0, 1500, 4000];

/** @param outage shell command that has the API server restarted, or its connections cut, and ends when it answers again */
export function apiOutages(outage: string): readonly Scenario[] {
  return MOMENTS_MS.map((ms) => ({
    name: `the writer's pod deleted by force, and ${ms === 0 ? 'at once' : `${ms / 1000} s later`} the API server away`,
    act: async (trial) => {
      const writer = await trial.writer();
      await deletePod(trial, writer.metadata.name, '--force', '--grace-period=0');
      await delay(ms);
      shell(outage);
      await trial.until('another writer', (status) => status.writer !== undefined && status.writer !== writer.metadata.name);
      return failoverNote(trial);
    },
  }));
}
