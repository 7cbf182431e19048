import { parse, stringify } from 'yaml';

/** How a rule's times are cut down, for a fault that is to be seen within a minute; thresholds of time, bytes and counts of some alerts too. */
const WAIT = '4s';
const RANGE = '40s';

/** In the place of a billion transactions, and of 1.8. */
export const IDS_OLD = 40_000;
export const IDS_AT_THE_END = 72_000;

/** Thresholds that a test cannot wait for, or fill: what stands in their place. Each must be in its rule. */
const SHORT_THRESHOLDS: Readonly<Record<string, readonly (readonly [from: string, to: string])[]>> = {
  AuroraLongTransaction: [['> 3600', '> 20']],
  AuroraIdleInTransaction: [['> 900', '> 10']],
  AuroraSlotHoldsWal: [['4 * 2 ^ 30', '2 ^ 20']],
  AuroraWriterUnsteady: [['> 3', '> 1']],
  AuroraTransactionIdsAge: [
    ['> 1e9', `> ${IDS_OLD}`],
    ['< 1.8e9', `< ${IDS_AT_THE_END}`],
  ],
  AuroraTransactionIdsRunOut: [['>= 1.8e9', `>= ${IDS_AT_THE_END}`]],
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
      const shortened = (SHORT_THRESHOLDS[rule.alert] ?? []).reduce((expr, [from, to]) => {
        if (!expr.includes(from)) throw new Error(`${rule.alert} has no '${from}' any more: '${expr}'`);
        return expr.replaceAll(from, to);
      }, rule.expr);
      const expr = shortened.replaceAll(/\[\d+[mh]\]/g, `[${RANGE}]`);
      return { ...rule, expr, ...(rule.for === undefined ? {} : { for: WAIT }) };
    }),
  }));
  return stringify({ groups });
}
