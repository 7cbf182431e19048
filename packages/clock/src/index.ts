export * from './backoff.ts';
export * from './clock.ts';
export * from './patience.ts';
export * from './system-clock.ts';
