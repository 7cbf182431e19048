import type { Schema } from './open-api.ts';

export function secretReference(description: string): Schema {
  return {
    type: 'object',
    description,
    required: ['name'],
    properties: {
      name: {
        type: 'string',
        description: 'Name of a Secret in the same namespace.',
        minLength: 1,
        maxLength: 253,
        pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$',
      },
    },
  };
}
