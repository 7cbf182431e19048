import { existsSync } from 'node:fs';
import path from 'node:path';
import { chromium, type Browser } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** A Chromium of this machine's: $CHROMIUM, else what the PATH has. Throws with how to come by one. */
export async function openBrowser(): Promise<Browser> {
  const given = process.env['CHROMIUM'];
  const folders = (process.env['PATH'] ?? '').split(path.delimiter);
  const found =
    given === undefined || given === ''
      ? folders.flatMap((folder) => NAMES.map((name) => path.join(folder, name))).find(existsSync)
      : given;
  if (found === undefined)
    throw new Error('no Chromium is on the PATH: install one (Debian: apt-get install chromium), or say where it is in CHROMIUM');
  // Chromium has no sandbox for root.
  return await chromium.launch({ executablePath: found, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] });
}
