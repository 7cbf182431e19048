import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parse, stringify } from 'yaml';
import { REPOSITORY } from './home.ts';
import { findPrometheus, HOW_TO_GET_PROMETHEUS, prometheusArguments, prometheusConfiguration } from './prometheus.ts';

/** Where the operator's metrics and Prometheus are, with --dashboards: Prometheus' usual port, and one beside the operator's usual one. */
const OPERATOR = '127.0.0.1:7009';
const PROMETHEUS = '127.0.0.1:9090';
const SCRAPE_SECONDS = 5;

export interface MonitoringPlan {
  readonly operator: string;
  readonly listen: string;
  readonly directory: string;
  readonly command: readonly [string, ...string[]];
  /** Why there can be none, and what to do. */
  readonly problem?: string;
}

export function planMonitoring(home: string, env: NodeJS.ProcessEnv): MonitoringPlan {
  const directory = path.join(home, 'monitoring');
  const found = findPrometheus(env);
  const listen = env['PROMETHEUS_LISTEN'] ?? PROMETHEUS;
  const command = [found ?? '', ...prometheusArguments(configurationOf(directory), path.join(directory, 'data'), listen)] as const;
  const plan = { operator: env['OPERATOR_LISTEN'] ?? OPERATOR, listen, directory, command: command as readonly [string, ...string[]] };
  return found === undefined ? { ...plan, problem: HOW_TO_GET_PROMETHEUS } : plan;
}

/** Of who is to be scraped. */
export const targetsFile = (directory: string): string => path.join(directory, 'targets.json');
const configurationOf = (directory: string): string => path.join(directory, 'prometheus.yaml');

/** Its configuration, and the alerts as a file of rules. */
export function writeMonitoring({ directory, operator }: MonitoringPlan): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const rules = path.join(directory, 'alerts.yaml');
  const resource = parse(readFileSync(path.join(REPOSITORY, 'deploy/monitoring/alerts.yaml'), 'utf8')) as { spec: object };
  writeFileSync(rules, stringify(resource.spec));
  writeFileSync(
    configurationOf(directory),
    prometheusConfiguration({ targets: targetsFile(directory), operator, rules, scrapeSeconds: SCRAPE_SECONDS }),
  );
}
