import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { metricsReference } from './metrics-reference.ts';

const monitoring = new URL('../../deploy/monitoring/', import.meta.url);
const known = new Set([...metricsReference().matchAll(/^\| `(aurora_\w+)`/gm)].map(([, name]) => name));

test.each(readdirSync(monitoring))('%s asks for metrics that there are', (file) => {
  const named = [...readFileSync(new URL(file, monitoring), 'utf8').matchAll(/aurora_(?!dev_)\w+/g)].map(([name]) =>
    known.has(name) ? name : name.replace(/_(bucket|sum|count)$/, ''),
  );
  expect(named.filter((name) => !known.has(name))).toEqual([]);
});
