import { createLogger } from '@kube-aurora/process';
import { runTokenPort } from './run-token-port.ts';

/** What a test's thread runs in the place of the agent's main program. */
await runTokenPort(createLogger('test', { level: 'silent' }));
