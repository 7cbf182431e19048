export { directRead } from './direct-read.ts';
export { readMaterial, TLS_FILES, type Material, type TlsMode } from './material.ts';
export { MutualTls, type AcceptRule, type PeerRule } from './mutual-tls.ts';
export { RefusalLog } from './refusal-log.ts';
export { ProgramTls, IDENTITY_DIR_SETTING } from './program-tls.ts';
