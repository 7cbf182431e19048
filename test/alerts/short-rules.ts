import { parse, stringify } from 'yaml';

/** How a rule's times are cut down, for a fault that is to be seen within a minute; thresholds of time and bytes of three alerts too. */
const WAIT = '4s';
const RANGE = '40s';

/** Thresholds that a test cannot wait for, or fill: what stands in their place. Each must be in its rule. */
const SHORT_THRESHOLDS: Readonly<Record<string, readonly [from: string, to: string]>> = {
  AuroraLongTransaction: ['> 3600', '> 20'],
  AuroraIdleInTransaction: ['> 900', '> 10'],
  AuroraSlotHoldsWal: ['4 * 2 ^ 30', '2 ^ 20'],
};

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
}

/** The rules of a PrometheusRule as a file of Prometheus, with short times. Pure. */
export function shortRules(resource: string): string {
  const { spec } = parse(resource) as { spec: { groups: readonly { readonly rules: readonly Rule[] }[] } };
  const groups = spec.groups.map((group) => ({
    ...group,
    rules: group.rules.map((rule) => {
      const [from, to] = SHORT_THRESHOLDS[rule.alert] ?? ['', ''];
      if (!rule.expr.includes(from)) throw new Error(`${rule.alert} has no '${from}' any more: '${rule.expr}'`);
      const expr = rule.expr.replace(from, to).replaceAll(/\[\d+[mh]\]/g, `[${RANGE}]`);
      return { ...rule, expr, ...(rule.for === undefined ? {} : { for: WAIT }) };
    }),
  }));
  return stringify({ groups });
}
