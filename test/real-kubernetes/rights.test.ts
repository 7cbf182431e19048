import { expect, test } from 'vitest';
import { parseAuditLog, rightsUsed } from './rights.ts';

const USER = 'system:serviceaccount:kube-aurora-system:kube-aurora-operator';
const line = (verb: string, resource: string, more: object = {}, username = USER): string =>
  JSON.stringify({ verb, user: { username }, objectRef: { apiVersion: 'v1', resource }, responseStatus: { code: 200 }, ...more });

test('rights of an audit log: used, never used, refused', () => {
  const log = [
    line('list', 'pods'),
    line('patch', 'secrets', { responseStatus: { code: 201 } }),
    line('patch', 'auroraclusters', { objectRef: { apiGroup: 'kube-aurora.dev', resource: 'auroraclusters', subresource: 'status' } }),
    line('delete', 'pods', {}, 'system:serviceaccount:default:default'),
    line('delete', 'nodes', { responseStatus: { code: 403 } }),
    JSON.stringify({ verb: 'get', user: { username: USER }, requestURI: '/version' }),
    '{"verb":"watch","us',
  ].join('\n');
  const rules = [
    { apiGroups: [''], resources: ['pods'], verbs: ['list', 'delete'] },
    { apiGroups: [''], resources: ['secrets'], verbs: ['create', 'patch'] },
    { apiGroups: ['kube-aurora.dev'], resources: ['auroraclusters/status'], verbs: ['patch'] },
  ];
  expect(rightsUsed(rules, parseAuditLog(log), USER)).toEqual({
    unused: ['/pods delete'],
    refused: ['/nodes delete'],
    used: ['/pods list', '/secrets create', '/secrets patch', 'kube-aurora.dev/auroraclusters/status patch'],
  });
});
