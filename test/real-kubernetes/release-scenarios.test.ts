import { expect, test } from 'vitest';
import { withTag } from './release-scenarios.ts';

test.each([
  ['kube-aurora/operator:0.1.0', 'kube-aurora/operator:next'],
  ['kube-aurora/operator', 'kube-aurora/operator:next'],
  ['registry.example:5000/team/operator', 'registry.example:5000/team/operator:next'],
  ['registry.example:5000/team/operator:1.2@sha256:0123', 'registry.example:5000/team/operator:next'],
])('%s with another tag', (image, expected) => expect(withTag(image, 'next')).toBe(expected));
