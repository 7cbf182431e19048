export * from './read-line.ts';
export * from './secrets.ts';
