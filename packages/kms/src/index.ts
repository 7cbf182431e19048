export { connectKms, type KmsAnswer, type KmsPlugin } from './kms-plugin.ts';
