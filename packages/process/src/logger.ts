import { pino, type Logger, type LoggerOptions } from 'pino';

export type { Logger } from 'pino';

/**
 * A program's root logger: JSON lines, one object an event, on stdout unless told otherwise; level by LOG_LEVEL. bigint
 * fields become text.
 */
export function createLogger(
  component: string,
  level = process.env['LOG_LEVEL'] ?? 'info',
  destination?: { write(line: string): void },
): Logger {
  const options: LoggerOptions = {
    level,
    base: { component },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: {
      level: (label) => ({ level: label }),
      log: (fields) =>
        Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, typeof value === 'bigint' ? value.toString() : value])),
    },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}

/** For tests and tools that must stay quiet. */
export function silentLogger(): Logger {
  return pino({ level: 'silent' });
}
