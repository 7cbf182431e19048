import { cluster } from './cluster.ts';
import { dashboardJson } from './dashboard.ts';
import { performance } from './performance.ts';
import { storage } from './storage.ts';

/** All dashboards, as Grafana takes them. */
export function dashboards(): readonly { readonly name: string; readonly json: string }[] {
  return [cluster, storage, performance].map((one) => ({ name: one.name, json: dashboardJson(one) }));
}
