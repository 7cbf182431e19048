import type { Rule, Schema } from './open-api.ts';
import type { Resources } from './types.ts';

/** Schemas of the resources that pods ask for. */

/** A quantity that is not negative. */
const quantityPattern = '^(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))))?$';

/**
 * Resources that rules compare by name; an API server bounds what a rule may cost, so no rule walks over all of them.
 */
const COMPARED_RESOURCES = ['cpu', 'memory', 'ephemeral-storage'] as const;

const NAME_RULE: Rule = {
  rule: "self.all(name, name in ['cpu', 'memory', 'ephemeral-storage'] || name.startsWith('hugepages-') || name.contains('/'))",
  message: 'resources are cpu, memory, ephemeral-storage, hugepages-SIZE, or DOMAIN/NAME for others',
};

function quantities(description: string, rules: readonly Rule[]): Schema {
  return {
    type: 'object',
    description,
    maxProperties: 16,
    additionalProperties: {
      anyOf: [{ type: 'integer' }, { type: 'string' }],
      pattern: quantityPattern,
      minimum: 0,
      maxLength: 32,
      'x-kubernetes-int-or-string': true,
    },
    ...(rules.length === 0 ? {} : { 'x-kubernetes-validations': rules }),
  };
}

function requestsAndLimits(of: string, rules: readonly Rule[]): Schema {
  return {
    type: 'object',
    description: `CPU and memory that ${of} asks for and may use, as in any pod.`,
    properties: {
      requests: quantities('The least that must be there, by resource name (cpu, memory).', rules),
      limits: quantities('The most that may be used, by resource name (cpu, memory).', rules),
    },
  };
}

/** For items of lists: without rules, whose cost an API server multiplies by the list's length. The operator checks the same. */
export function listedResources(of: string): Schema {
  return requestsAndLimits(of, []);
}

/** That a limit of memory, where there is one, is at least so much. */
export function memoryLimitRule(least: string, message: string): Rule {
  return {
    rule: `!has(self.limits) || !('memory' in self.limits) || quantity(string(self.limits['memory'])).compareTo(quantity('${least}')) >= 0`,
    message,
  };
}

/** @param byDefault where nothing is said; requests without limits, so that nothing is bounded that nobody bounded. */
export function resources(of: string, byDefault: Resources, rules: readonly Rule[] = []): Schema {
  const quantity = (list: string, name: string): string => `quantity(string(self.${list}['${name}']))`;
  return {
    ...requestsAndLimits(of, [NAME_RULE]),
    default: byDefault,
    'x-kubernetes-validations': [
      ...COMPARED_RESOURCES.map((name) => ({
        rule: `!has(self.requests) || !has(self.limits) || !('${name}' in self.requests) || !('${name}' in self.limits) || ${quantity('requests', name)}.compareTo(${quantity('limits', name)}) <= 0`,
        message: `requests.${name} must not be above limits.${name}`,
      })),
      ...rules,
    ],
  };
}
