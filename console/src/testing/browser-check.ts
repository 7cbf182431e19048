/**
 * `npm run test:console`: the page in a real browser, in every scene, light and dark, narrow and wide. Pictures go to dist/console-pictures, to be
 * looked at; what can be told without looking is checked. Names of scenes as arguments: those alone.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Page } from 'playwright-core';
import { PAGE_DIRECTORY } from '../build/build-page.ts';
import { openBrowser } from './find-browser.ts';
import { SCENES, type SceneName } from './scenes.ts';
import { serveScene } from './scene-server.ts';

const PICTURES = path.join(PAGE_DIRECTORY, '../console-pictures');
const WIDTHS = [360, 1440];
/** Runs in the page: texts that are too faint. */
const FIND_FAINT = readFileSync(path.join(import.meta.dirname, 'contrast.js'), 'utf8');
const THEMES = ['light', 'dark'] as const;

const wanted = process.argv.slice(2);
const names = (Object.keys(SCENES) as SceneName[]).filter((name) => wanted.length === 0 || wanted.includes(name));
let passed = 0;
const failures: string[] = [];

function check(what: string, problems: readonly string[]): void {
  if (problems.length === 0) passed++;
  else failures.push(...problems.map((problem) => `${what}: ${problem}`));
}

/** Arrow keys reach the curves, and all of them tell the moment. */
async function checkKeys(page: Page): Promise<readonly string[]> {
  const plot = page.locator('.plot').first();
  await plot.focus();
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.press('ArrowLeft');
  const cursors = await page.locator('.cursor').count();
  const plots = await page.locator('.plot').count();
  const told = await plot.getAttribute('aria-valuetext');
  await page.keyboard.press('Escape');
  const after = await page.locator('.cursor').count();
  return [
    ...(cursors === plots ? [] : [`${cursors} of ${plots} curves follow the arrow keys`]),
    ...(/^\d\d:\d\d UTC: /.test(told ?? '') ? [] : [`the moment is told as '${told ?? ''}'`]),
    ...(after === 0 ? [] : ['Escape leaves the cursor']),
  ];
}

mkdirSync(PICTURES, { recursive: true });
const browser = await openBrowser();
for (const name of names) {
  const server = await serveScene(SCENES[name]);
  for (const theme of THEMES)
    for (const width of WIDTHS) {
      const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme: theme, reducedMotion: 'reduce' });
      const said: string[] = [];
      page.on('console', (message) => said.push(message.text()));
      page.on('pageerror', (error) => said.push(String(error)));
      page.on('request', (request) => {
        if (!request.url().startsWith(server.url) || request.method() !== 'GET') said.push(`asks ${request.method()} ${request.url()}`);
      });
      await page.goto(server.url);
      await page.waitForSelector(name === 'no cluster' ? '.page-empty h1' : '.hero');
      if (name !== 'no cluster') await page.waitForSelector('.chart .plot');
      await page.waitForTimeout(300);
      const what = `${name}, ${theme}, ${width} px`;
      check(`${what}: the browser is content`, said);
      const over = await page.evaluate<number>('document.documentElement.scrollWidth - innerWidth');
      check(`${what}: fits`, over > 0 ? [`${over} px too wide`] : []);
      check(`${what}: contrast`, await page.evaluate<string[]>(FIND_FAINT));
      if (name === 'healthy') check(`${what}: keys`, await checkKeys(page));
      await page.screenshot({ path: path.join(PICTURES, `${name.replaceAll(' ', '-')}-${theme}-${width}.png`), fullPage: true });
      await page.close();
    }
  await server.close();
}
await browser.close();
for (const failure of failures) process.stdout.write(`✗ ${failure}\n`);
process.stdout.write(`pictures are in ${PICTURES}\n${passed} passed, ${failures.length} failed\n`);
process.exitCode = failures.length === 0 ? 0 : 1;
