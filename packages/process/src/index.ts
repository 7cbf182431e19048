export * from './config.ts';
export * from './exit-codes.ts';
export * from './logger.ts';
export * from './memory-environment.ts';
export * from './process-mark.ts';
export * from './process-metrics.ts';
export * from './shutdown.ts';
export * from './status-server.ts';
