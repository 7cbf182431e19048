import { ApiException } from '@kubernetes/client-node';
import { expect, test } from 'vitest';
import { refusalOf } from './apply.ts';

const body = JSON.stringify({
  kind: 'Status',
  message: 'AuroraCluster "demo" is invalid: spec.storage.size: volumes grow and never shrink',
});

test.each([
  ['a manifest that the API server refuses', new ApiException(422, 'Unprocessable', body, {}), /spec\.storage\.size: volumes grow/],
  ['an API server in trouble', new ApiException(503, 'Unavailable', body, {}), undefined],
  ['an answer that is no Status', new ApiException(404, 'Not Found', '<html>', {}), undefined],
  ['no answer', new Error('connect ECONNREFUSED'), undefined],
])('%s', (_what, error, expected) => {
  if (expected === undefined) expect(refusalOf(error)).toBeUndefined();
  else expect(refusalOf(error)).toMatch(expected);
});
