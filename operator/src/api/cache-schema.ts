import type { Rule, Schema } from './open-api.ts';
import { CACHE_SIZE_MIN, CACHE_VOLUME_MIN, EPHEMERAL_STORAGE, SIZE_MAX, SIZE_PATTERN } from './quantity.ts';

/** The disk of compute pods, in `spec.compute`. */

const between = (least: string, tooSmall: string): readonly Rule[] => [
  { rule: `!isQuantity(self) || quantity(self).compareTo(quantity('${least}')) >= 0`, message: `${tooSmall}: use at least ${least}` },
  {
    rule: `!isQuantity(self) || quantity(self).compareTo(quantity('${SIZE_MAX}')) <= 0`,
    message: `larger than any volume: use at most ${SIZE_MAX}`,
  },
];

export const cacheProperties: Readonly<Record<string, Schema>> = {
  cacheSize: {
    type: 'string',
    description:
      'Disk that a compute pod may take for pages of tables and indexes, which it reads from storage again when it needs them. WAL, temporary files and unlogged tables come on top. When absent, half of cacheVolume.size; without a cacheVolume half of limits.ephemeral-storage, and without that limit half of what is free on the node.',
    pattern: SIZE_PATTERN,
    maxLength: 20,
    'x-kubernetes-validations': between(CACHE_SIZE_MIN, 'too small for what PostgreSQL reads at once'),
  },
  cacheVolume: {
    type: 'object',
    description:
      "A volume of its own for each compute pod's files (pages, WAL, temporary files), made with the pod and deleted with it, in the place of the node's disk: with a StorageClass that encrypts, these files are encrypted too. Another volume replaces the compute pods, one at a time.",
    required: ['size'],
    properties: {
      size: {
        type: 'string',
        description:
          'Size of each volume, for example 40Gi: about twice what its cache may take. PostgreSQL stops and starts anew when it is full.',
        pattern: SIZE_PATTERN,
        maxLength: 20,
        'x-kubernetes-validations': between(CACHE_VOLUME_MIN, "too small for PostgreSQL's WAL and its cache"),
      },
      storageClassName: {
        type: 'string',
        description:
          "StorageClass of the volumes; the cluster's default when absent. With volumeBindingMode: WaitForFirstConsumer a volume is made in the zone of its pod.",
        minLength: 1,
        maxLength: 253,
      },
    },
  },
};

const LIMIT = `self.resources.limits['${EPHEMERAL_STORAGE}']`;

export const cacheRules: readonly Rule[] = [
  {
    rule: `has(self.cacheVolume) || !has(self.cacheSize) || !isQuantity(self.cacheSize) || !has(self.resources) || !has(self.resources.limits) || !('${EPHEMERAL_STORAGE}' in self.resources.limits) || quantity(self.cacheSize).isLessThan(quantity(string(${LIMIT})))`,
    message: `cacheSize leaves no room below resources.limits.${EPHEMERAL_STORAGE} for WAL and temporary files: use about half of it`,
  },
  {
    rule: '!has(self.cacheVolume) || !has(self.cacheSize) || !isQuantity(self.cacheSize) || !isQuantity(self.cacheVolume.size) || quantity(self.cacheSize).isLessThan(quantity(self.cacheVolume.size))',
    message: 'cacheSize leaves no room in cacheVolume.size for WAL and temporary files: use about half of it',
  },
];
