export { ApiError, isConflict, isNotFound, isTransient, unlessForbidden } from './api-error.ts';
export { HttpApi, refusal, type KubeApi } from './http-api.ts';
export { loadKubeConfig } from './load-config.ts';
