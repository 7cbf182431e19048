/**
 * `npm run docs:console`: the console's pictures in docs/console, of a whole system of its own: under load, while its writer is lost, and after it. Takes as
 * long as the curves are to be: four minutes.
 */
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { openBrowser } from '../../console/src/testing/find-browser.ts';
import { StartedSystem } from '../faults/started-system.ts';

const PICTURES = path.resolve(import.meta.dirname, '../../docs/console');
const MANIFEST = path.resolve(import.meta.dirname, 'pictured.yaml');
const LOAD_MS = Number(process.env['LOAD_SECONDS'] ?? '200') * 1000;
const CLIENTS = 6;

const system = await StartedSystem.start(MANIFEST);
const browser = await openBrowser();
let isOver = false;

/** A client as applications have them: it writes a little, reads a little, and connects anew when its server is gone. */
async function work(number: number): Promise<void> {
  while (!isOver) {
    const client = new Client({ connectionString: system.uri, ssl: { rejectUnauthorized: false } });
    client.on('error', () => undefined);
    try {
      await client.connect();
      for (let turn = 0; !isOver; turn++) {
        await client.query('INSERT INTO orders (customer, note) VALUES ($1, repeat($2, 40))', [turn % 500, 'x']);
        if (turn % 5 === 0) await client.query('SELECT count(*) FROM orders WHERE customer = $1', [number]);
        if (turn % 7 === 0) await client.query('UPDATE orders SET note = note WHERE id = $1', [turn]);
        await delay(15);
      }
    } catch {
      // Its server is gone, or not yet there: that is what the pictures are of.
      await delay(200);
    }
    // Of a connection that is broken already.
    await client.end().catch(() => undefined);
  }
}

async function picture(name: string, theme: 'light' | 'dark', width: number, fullPage = true): Promise<void> {
  const page = await browser.newPage({ viewport: { width, height: 1000 }, colorScheme: theme, reducedMotion: 'reduce' });
  await page.goto(system.consoleUrl);
  await page.waitForSelector('.hero', { timeout: 120_000 });
  // The second look gives figures of the time between.
  await delay(5_000);
  await page.screenshot({ path: path.join(PICTURES, `${name}.png`), fullPage });
  await page.close();
}

try {
  const setUp = new Client({ connectionString: system.uri, ssl: { rejectUnauthorized: false } });
  await setUp.connect();
  await setUp.query('CREATE TABLE orders (id bigserial PRIMARY KEY, customer int NOT NULL, note text)');
  await setUp.end();
  const clients = Array.from({ length: CLIENTS }, (_, number) => work(number));
  await delay(LOAD_MS);
  await picture('load-light', 'light', 1440);
  await picture('load-dark', 'dark', 1440);
  await picture('load-narrow', 'light', 390, false);
  // It is looked at while the writer is lost: the page follows within two seconds.
  const page = await browser.newPage({ viewport: { width: 1440, height: 1000 }, colorScheme: 'light', reducedMotion: 'reduce' });
  await page.goto(system.consoleUrl);
  await page.waitForSelector('.plot', { timeout: 120_000 });
  system.run('zone', 'fail', 'zone-a');
  await page.waitForSelector('.hero:not(.tone-good)', { timeout: 120_000 });
  // A failover is over in seconds: what is seen of it first is pictured, if it was not seen that there was no writer.
  await page.waitForSelector('.hero.tone-bad', { timeout: 4_000 }).catch(() => undefined);
  await page.screenshot({ path: path.join(PICTURES, 'failover-going-on.png') });
  await page.waitForSelector('.handovers', { timeout: 300_000 });
  await page.waitForSelector('.is-writer.tone-good', { timeout: 300_000 });
  await delay(20_000);
  await page.screenshot({ path: path.join(PICTURES, 'after-failover.png'), fullPage: true });
  system.run('zone', 'restore', 'zone-a');
  isOver = true;
  await Promise.all(clients);
} finally {
  isOver = true;
  await browser.close();
  await system.stop();
}
process.stdout.write(`pictures are in ${PICTURES}\n`);
