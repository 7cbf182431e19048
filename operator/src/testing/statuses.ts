import type { AuroraClusterStatus } from '../api/status-types.ts';
import type { Observed } from '../observed/observed.ts';
import { daemonReport, mapSegments, plan, running, without, withoutSegments } from './fixtures.ts';
import { computeStatus } from '../status/compute-status.ts';
import type { ReportedFault } from '../observed/faults.ts';

/** What the status says of an observation, for tests. */

export const statusOf = (observed: Observed): AuroraClusterStatus => computeStatus(observed, plan(observed));
export const condition = (status: AuroraClusterStatus, type: string) => status.conditions?.find((one) => one.type === type);
export const down = (observed: Observed, ...indexes: readonly number[]): Observed => ({
  ...observed,
  storagePods: mapSegments(observed.storagePods, (pod, index) => (indexes.includes(index) ? running(pod, { ready: false }) : pod)),
});
export const ran = (status: AuroraClusterStatus = {}): AuroraClusterStatus => ({
  epoch: 3,
  firstReadyAt: '2026-11-21T09:00:00Z',
  storage: { summary: '6/6', ready: 6, desired: 6, initialized: true, segments: [] },
  ...status,
});
/** Pods that are not there, with daemons that nobody can ask. */
export const gone = (observed: Observed, ...indexes: readonly number[]): Observed => ({
  ...observed,
  storagePods: withoutSegments(observed.storagePods, ...indexes),
  daemons: without(observed.daemons, ...indexes.map((index) => `demo-storage-${index}`)),
});
export const faulty = (observed: Observed, fault: ReportedFault, ...indexes: readonly number[]): Observed => ({
  ...observed,
  daemons: new Map([
    ...observed.daemons,
    ...indexes.map((index) => {
      const state = ['DISK_FULL', 'DISK_ERROR', 'LOST_REDO'].includes(fault.kind) ? 'READY' : 'DAMAGED';
      return [`demo-storage-${index}`, daemonReport(index, { state, fault, message: `in its own words ${index}` })] as const;
    }),
  ]),
});
