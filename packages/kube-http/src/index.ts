export { ApiError, isNotFound } from './api-error.ts';
export { HttpApi, refusal, type KubeApi } from './http-api.ts';
