/**
 * Has promtool say of each alert that it fires for its fault and stops when that is mended: `npm run test:alerts`. promtool is Prometheus' own;
 * Debian's package prometheus has it. PROMTOOL names it where it is on no path.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { stringify } from 'yaml';
import { CASES, type AlertCase } from './cases.ts';

const RULES = path.resolve(import.meta.dirname, '../../helm/kube-aurora/files/alerts.yaml');
const FIRING = 'count by (alertname) (ALERTS{alertstate="firing"})';

/** What fires at that minute: the one alert and no other, or nothing at all. An operator that nobody asks about idles. */
function expects({ alert }: AlertCase, minute: number, fires: boolean): object {
  const besides = alert === 'AuroraOperatorIdle' ? '' : ' unless count by (alertname) (ALERTS{alertname="AuroraOperatorIdle"})';
  return {
    expr: `${FIRING}${besides}`,
    eval_time: `${minute}m`,
    exp_samples: fires ? [{ labels: `{alertname="${alert}"}`, value: 1 }] : [],
  };
}

function testOf(one: AlertCase): object {
  return {
    interval: '1m',
    input_series: Object.entries(one.series).map(([series, values]) => ({ series, values })),
    promql_expr_test: [
      ...(one.quietAt === undefined ? [] : [expects(one, one.quietAt, false)]),
      expects(one, one.firesBy, true),
      expects(one, one.overBy, false),
    ],
  };
}

const promtool = process.env['PROMTOOL'] ?? 'promtool';
const scratch = mkdtempSync(path.join(tmpdir(), 'ka-alerts-'));
try {
  const tests = path.join(scratch, 'alerts.test.yaml');
  writeFileSync(tests, stringify({ rule_files: [RULES], evaluation_interval: '1m', tests: CASES.map(testOf) }));
  for (const args of [
    ['check', 'rules', RULES],
    ['test', 'rules', tests],
  ]) {
    const run = spawnSync(promtool, args, { stdio: 'inherit' });
    if (run.error !== undefined) {
      process.stderr.write(
        `${promtool} cannot be run (${run.error.message}): install Debian's package prometheus, or name promtool in PROMTOOL\n`,
      );
      process.exitCode = 1;
      break;
    }
    if (run.status !== 0) {
      process.exitCode = run.status ?? 1;
      break;
    }
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
