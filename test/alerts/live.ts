/**
 * A real Prometheus over a real system, `npm start -- --dashboards`, under load: `npm run test:monitoring`. Every expression of the dashboards
 * must give something, every alert's be taken; then faults are made, one after the other, and each must make its alerts fire, and stop when it is
 * mended. Rules have short times (short-rules.ts). Words of the command line choose faults by what their alerts are called; `none` makes none.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '@kube-aurora/test-ports';
import { parse } from 'yaml';
import { markdownTable, print } from '../bench/table.ts';
import { REPOSITORY } from '../e2e/quickstart-harness.ts';
import { LiveSystem, ofDemo } from './live-system.ts';
import { REAL_FAULTS } from './real-faults.ts';
import { scrapeCosts } from './scrape-costs.ts';
import { shortRules } from './short-rules.ts';

const SCRAPED_MS = 45_000;
const WITHIN_MS = 240_000;
const ALERTS = path.join(REPOSITORY, 'deploy/monitoring/alerts.yaml');
const DASHBOARDS = path.join(REPOSITORY, 'deploy/monitoring/dashboards');

/** Expressions that have no answer on a system that is well, and why. */
const MAY_BE_EMPTY: readonly (readonly [RegExp, string])[] = [
  [/aurora_statement_/, 'pg_stat_statements is not loaded'],
  [/aurora_slot_retained_bytes/, 'there is no slot'],
  [/aurora_failover_seconds/, 'nobody has failed over'],
  [/aurora_storage_refused_messages_total/, 'nothing was refused'],
  [/aurora_load_session_seconds_total.*role="reader"/, 'nobody has asked a reader for anything'],
];

interface Dashboard {
  readonly panels: readonly { readonly title: string; readonly targets?: readonly { readonly expr: string }[] }[];
}

async function until(holds: () => Promise<boolean>): Promise<number | undefined> {
  const begun = performance.now();
  while (performance.now() - begun < WITHIN_MS) {
    if (await holds()) return Math.round((performance.now() - begun) / 1000);
    await delay(500);
  }
  return undefined;
}

/** What is wrong with the dashboards' and the alerts' expressions. */
async function lookAtExpressions(system: LiveSystem): Promise<string[]> {
  const wrong: string[] = [];
  let answered = 0;
  let empty = 0;
  for (const name of readdirSync(DASHBOARDS)) {
    const { panels } = JSON.parse(readFileSync(path.join(DASHBOARDS, name), 'utf8')) as Dashboard;
    for (const { title, targets = [] } of panels)
      for (const { expr } of targets) {
        const asked = ofDemo(expr, '40s');
        if ((await system.ask(asked)).length > 0) answered++;
        else if (MAY_BE_EMPTY.some(([pattern]) => pattern.test(expr))) empty++;
        else wrong.push(`${name}, ${title}: no answer to ${asked}`);
      }
  }
  const { spec } = parse(readFileSync(ALERTS, 'utf8')) as { spec: { groups: { rules: { alert: string; expr: string }[] }[] } };
  const rules = spec.groups.flatMap(({ rules: some }) => some);
  for (const { expr } of rules) await system.ask(expr);
  print(`${answered} expressions of dashboards have an answer, ${empty} rightly none; all ${rules.length} of alerts are taken`);
  return wrong;
}

/** Reads and writes go on, on all that there is to be, and none of these alerts fires. */
async function isWell(system: LiveSystem, alerts: readonly string[]): Promise<boolean> {
  const { output } = system.quickstart.run('kubectl', 'get', 'auroracluster', 'demo', '-o', 'jsonpath={.status.phase}');
  return output.trim() === 'Ready' && !(await Promise.all(alerts.map((alert) => system.isFiring(alert)))).includes(true);
}

const chosen = process.argv.slice(2);
const isChosen = (alerts: readonly string[]): boolean =>
  chosen.length === 0 || chosen.some((word) => alerts.some((alert) => alert.includes(word)));
const system = new LiveSystem(`127.0.0.1:${await freePort()}`);
const wrong: string[] = [];
const rows: string[][] = [];
try {
  await system.start();
  print('the system is up');
  const stopLoad = new AbortController();
  const load = (async () => {
    let statements = 0;
    await system.sql('create table if not exists busy (id bigint generated always as identity primary key, what text)');
    while (!stopLoad.signal.aborted)
      try {
        await system.sql("insert into busy (what) select repeat('x', 100) from generate_series(1, 50); select count(*) from busy");
        statements++;
      } catch {
        // Faults take the writer away for a while: then there is no load.
        await delay(300);
      }
    return statements;
  })();
  await delay(SCRAPED_MS);
  wrong.push(...(await lookAtExpressions(system)));
  const monitoring = path.join(system.quickstart.home, 'monitoring');
  const pidOf = (pod: string): number => (pod === 'operator' ? system.pidOf('operator') : (system.programs(pod)[0]?.pid ?? 0));
  const scrapes = await scrapeCosts(monitoring, pidOf);
  print(scrapes.table);
  wrong.push(...scrapes.wrong);
  const configuration = path.join(monitoring, 'prometheus.yaml');
  writeFileSync(path.join(monitoring, 'alerts.yaml'), shortRules(readFileSync(ALERTS, 'utf8')));
  writeFileSync(configuration, readFileSync(configuration, 'utf8').replaceAll(': 5s', ': 2s'));
  process.kill(system.pidOf('prometheus'), 'SIGHUP');
  for (const { what, alerts, make } of REAL_FAULTS.filter((fault) => isChosen(fault.alerts))) {
    // What the fault before has left behind is no matter of the next.
    if ((await until(() => isWell(system, alerts))) === undefined) wrong.push(`the system is not well before this: ${what}`);
    try {
      const mend = await make(system);
      const fired = await Promise.all(alerts.map((alert) => until(() => system.isFiring(alert))));
      await mend();
      const over = await Promise.all(alerts.map((alert) => until(async () => !(await system.isFiring(alert)))));
      for (const [index, alert] of alerts.entries()) {
        const seconds = (value: number | undefined): string => (value === undefined ? 'never' : `${value} s`);
        rows.push([alert, what, seconds(fired[index]), seconds(over[index])]);
        print(rows.at(-1)?.join(' | ') ?? '');
        if (fired[index] === undefined) wrong.push(`${alert} did not fire: ${what}`);
        if (over[index] === undefined) wrong.push(`${alert} does not stop: ${what}`);
      }
    } catch (error) {
      wrong.push(`${what}: ${String(error)}`);
      print(wrong.at(-1) ?? '');
    }
  }
  stopLoad.abort();
  await load;
} finally {
  await system.stop();
}
if (rows.length > 0) print(markdownTable(['alert', 'fault', 'fires after', 'stops after'], rows));
for (const line of wrong) print(`WRONG: ${line}`);
print(`${rows.filter(([, , fired]) => fired !== 'never').length} alerts fired by real faults, ${wrong.length} wrong`);
process.exitCode = wrong.length === 0 ? 0 : 1;
