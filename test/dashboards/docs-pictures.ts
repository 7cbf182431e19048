/**
 * `npm run docs:dashboards`: the three dashboards' pictures in docs/dashboards, of a whole system of its own under load, whose writer stands still on the way, until another has its place. Their panels are
 * drawn by Grafana's own components from what a real Prometheus answers (renderer/). Takes ten minutes, a Chromium, and Debian's `prometheus`.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '@kube-aurora/test-ports';
import { build } from 'esbuild';
import type { Client } from 'pg';
import { openBrowser } from '../../console/src/testing/find-browser.ts';
import { LiveSystem } from '../alerts/live-system.ts';
import { print } from '../bench/table.ts';
import { drawingOf, type DashboardJson } from './drawing.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const DASHBOARDS = path.join(ROOT, 'deploy/monitoring/dashboards');
const PICTURES = path.join(ROOT, 'docs/dashboards');
const RENDERER = path.join(import.meta.dirname, 'renderer');
/** Before the writer is lost, and after it. */
const [BEFORE_MS, AFTER_MS] = [Number(process.env['LOAD_SECONDS'] ?? '300') * 1000, 150_000];
/** The writer stands still for so long. */
const STILL_MS = 20_000;
const CLIENTS = 6;
const PAGE_MS = 180_000;
/** Nobody's: what the browser asks for there it is given from here. */
const ADDRESS = 'http://dashboards.test/';
const STEP_MS = 5000;
/** Four scrapes, as Grafana would have it at this step. */
const RATE_INTERVAL = '20s';

/** The page as one file; its packages are installed the first time. */
async function bundle(): Promise<string> {
  if (!existsSync(path.join(RENDERER, 'node_modules/@grafana/ui/package.json'))) {
    print('installing what draws the panels …');
    execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--legacy-peer-deps'], { cwd: RENDERER, stdio: 'inherit' });
  }
  const { outputFiles } = await build({
    entryPoints: [path.join(RENDERER, 'page.tsx')],
    bundle: true,
    write: false,
    outdir: RENDERER,
    format: 'iife',
    jsx: 'automatic',
    minify: true,
    define: { 'process.env.NODE_ENV': '"production"', global: 'window' },
    loader: { '.woff': 'dataurl', '.woff2': 'dataurl', '.svg': 'text' },
    logLevel: 'error',
  });
  const text = (ending: string): string => outputFiles.find((file) => file.path.endsWith(ending))?.text ?? '';
  return `<!doctype html><meta charset="utf-8"><style>${text('.css')}</style><body style="margin:0"><div id="root"></div><script>${text('.js').replaceAll('</script', String.raw`<\/script`)}</script>`;
}

const page = await bundle();
const system = new LiveSystem(`127.0.0.1:${await freePort()}`);
const stop = new AbortController();

/** Statements of a turn, by the Service that they are for. */
type Work = (client: Client, turn: number) => Promise<unknown>;

const writes: Work = async (client, turn) => {
  await client.query('insert into orders (customer, note) values ($1, repeat($2, 40))', [turn % 500, 'x']);
  if (turn % 5 === 0) await client.query('select count(*) from orders where customer = $1', [turn % 500]);
  if (turn % 7 === 0) await client.query('update orders set note = note where id = $1', [turn]);
};
const reads: Work = (client, turn) => client.query('select count(*), max(note) from orders where customer = $1', [turn % 500]);

/** A client as applications have them: it connects anew when its server is gone. */
async function work(service: string, turnOf: Work): Promise<void> {
  while (!stop.signal.aborted)
    try {
      const client = await system.session('app', service);
      for (let turn = 0; !stop.signal.aborted; turn++) {
        await turnOf(client, turn);
        await delay(15);
      }
      await client.end();
    } catch {
      // Its server is gone, or not yet there: that is what the pictures are of.
      await delay(200);
    }
}

try {
  await system.start(path.join(import.meta.dirname, 'pictured.yaml'));
  const counting = await system.session('postgres');
  await counting.query('create extension pg_stat_statements');
  await counting.end();
  await system.sql('create table orders (id bigserial primary key, customer int not null, note text)');
  // One that nobody reads, as after a subscriber that is gone.
  await system.sql("select pg_create_physical_replication_slot('gone', true)");
  const clients = Array.from({ length: CLIENTS }, (_, number) => (number < 4 ? work('demo-rw', writes) : work('demo-ro', reads)));
  const fromMs = Date.now();
  await delay(BEFORE_MS);
  // One that is killed may be back before another takes its place.
  const goOn = system.stopped(system.programs(system.pod('writer')).map(({ pid }) => pid));
  await delay(STILL_MS);
  goOn();
  await delay(AFTER_MS - STILL_MS);
  const range = { fromMs, toMs: Date.now(), stepMs: STEP_MS };
  const browser = await openBrowser();
  mkdirSync(PICTURES, { recursive: true });
  for (const name of readdirSync(DASHBOARDS)) {
    const dashboard = JSON.parse(readFileSync(path.join(DASHBOARDS, name), 'utf8')) as DashboardJson;
    const drawing = await drawingOf(dashboard, range, (expr) => system.askRange(expr, range, RATE_INTERVAL));
    const tab = await browser.newPage({ viewport: { width: 1576, height: 1000 } });
    // The page has megabytes of script, and the system that is pictured runs beside it.
    tab.setDefaultTimeout(PAGE_MS);
    await tab.addInitScript((given) => Object.assign(globalThis, { drawing: given }), drawing);
    // An address of its own: pages without one may keep nothing, and Grafana's components do.
    await tab.route(ADDRESS, (route) => route.fulfill({ contentType: 'text/html', body: page }));
    await tab.goto(ADDRESS);
    await tab.waitForSelector('canvas');
    await delay(2000);
    await tab.screenshot({ path: path.join(PICTURES, name.replace('.json', '.png')), fullPage: true });
    await tab.close();
  }
  await browser.close();
  stop.abort();
  await Promise.all(clients);
} finally {
  stop.abort();
  await system.stop();
}
print(`pictures are in ${PICTURES}`);
