import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createLogger, LOG_LINE, type Logger } from './index.ts';

/** What is logged, as objects; a line that is none, or not as the schema has it, fails. */
function logged(log: (logger: Logger) => void, also?: () => Record<string, unknown>): Record<string, unknown>[] {
  const lines: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void lines.push(LOG_LINE.parse(JSON.parse(line))) };
  log(
    createLogger('test', {
      who: { cluster: 'default/demo', instance: undefined },
      ...(also === undefined ? {} : { also }),
      level: 'debug',
      destination,
    }),
  );
  return lines;
}

const WHEN = expect.any(String) as string;

test('what the schema knows stands where it has it, and all else in `more`', () => {
  const lines = logged((logger) => {
    logger.child({ part: 'peers' }).info({ epoch: 3n, pid: 'seven', lsn: 12n, none: undefined, nested: { at: 5n } }, 'said');
    logger.error({ err: new RangeError('too far', { cause: new Error('a cliff') }), reason: 5 }, 'failed');
  });
  expect(lines).toEqual([
    {
      level: 'info',
      time: WHEN,
      component: 'test',
      cluster: 'default/demo',
      part: 'peers',
      epoch: '3',
      more: { pid: 'seven', lsn: '12', nested: { at: '5' } },
      msg: 'said',
    },
    expect.objectContaining({
      err: { type: 'RangeError', message: 'too far: a cliff', stack: expect.stringContaining('logger.test') as string },
      more: { reason: 5 },
    }),
  ]);
});

test('what every line has as of now gives way to what a line says itself', () => {
  let epoch = 1n;
  const lines = logged(
    (logger) => {
      logger.info('one');
      epoch = 2n;
      logger.child({ part: 'x' }).info({ epoch: 7n }, 'two');
      logger.info({}, 'three');
    },
    () => ({ epoch }),
  );
  expect(lines.map((line) => line['epoch'])).toEqual(['1', '7', '2']);
});

test('any fields make a line that the schema takes', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom(...Object.keys(LOG_LINE.shape), 'other', '__proto__', 'constructor'), fc.jsonValue()),
      fc.string(),
      (fields, words) => {
        const { level: _level, time: _time, component: _component, msg: _msg, cluster: _cluster, ...given } = fields;
        expect(logged((logger) => logger.warn(given, words))).toHaveLength(1);
      },
    ),
  );
});

/** Ways in which a password gets to a place that is logged. */
const PLACES: Readonly<Record<string, (secret: string) => string>> = {
  'a literal': (secret) => `alter role app password '${secret.replaceAll("'", "''")}' valid until 'infinity'`,
  'a literal whose end was cut off': (secret) => `statement: create user app encrypted password '${secret.replaceAll("'", "''")}`,
  'a literal with escapes': (secret) => `ALTER ROLE app PASSWORD E'${secret.replaceAll(/['\\]/g, String.raw`\$&`)}'`,
  'a literal in dollars': (secret) => `create role app password $q$${secret}$q$`,
  'no literal, by mistake': (secret) => `alter user app with password ${secret}`,
  'a user mapping': (secret) => `create user mapping for app server s options (user 'u', password '${secret.replaceAll("'", "''")}')`,
  'a subscription': (secret) => `create subscription s connection 'host=x password=''${secret.replaceAll("'", "''''")}''' publication p`,
  'a URI': (secret) => `connecting to postgresql://app:${encodeURIComponent(secret)}@demo-rw:5432/app`,
  'a key': (secret) => `-----BEGIN PRIVATE KEY-----\n${secret}\n-----END PRIVATE KEY-----`,
};

test.each(Object.entries(PLACES))('a secret in %s is in no line', (_name, place) => {
  // No semicolon or dollar: with the one a statement without quotes ends, with the other the notation in dollars.
  const characters = [...'abcXYZ0189!?#%^&+=_()[]{}<>~|/:,. -', "'", '\\', 'ü', '€'];
  const secrets = fc
    .array(fc.constantFrom(...characters), { minLength: 8, maxLength: 24 })
    .map((chosen) => `Zq${chosen.join('')}9`)
    .filter((secret) => !secret.includes('-----'));
  fc.assert(
    fc.property(secrets, (secret) => {
      const text = place(secret);
      const written = JSON.stringify(
        logged((logger) =>
          logger.warn({ why: text, err: new Error(text), postgres: text, deep: { list: [text] }, password: secret }, text),
        ),
      );
      for (const form of [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)]) expect(written).not.toContain(form);
    }),
    { numRuns: 30 },
  );
});
