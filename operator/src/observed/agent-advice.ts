import { ADVICE_MAX, ADVICE_SEVERITIES, type AdviceStatus } from '../api/status-types.ts';
import { listedText, objectFields } from './fields.ts';

const WORDS_MAX = 1000;
const QUERY_MAX = 4096;

/** What an agent says of what there is to do in its database; undefined of one that has not looked, or never does. */
export function readAdvice(value: unknown): readonly AdviceStatus[] | undefined {
  const { lookedAt, findings } = objectFields(value);
  if (typeof lookedAt !== 'string' || !Array.isArray(findings)) return undefined;
  return findings.slice(0, ADVICE_MAX).flatMap((entry) => {
    const one = objectFields(entry);
    const id = wordsOf(one['id'], 64);
    const severity = listedText(ADVICE_SEVERITIES, one['severity']);
    const what = wordsOf(one['what'], WORDS_MAX);
    const since = momentOf(one['since']);
    if (id === undefined || severity === undefined || what === undefined || since === undefined) return [];
    const [remedy, query] = [wordsOf(one['remedy'], WORDS_MAX) ?? '', wordsOf(one['query'], QUERY_MAX) ?? ''];
    const subject = wordsOf(one['subject'], 500);
    return [{ id, severity, ...(subject === undefined ? {} : { subject }), what, since, remedy, query }];
  });
}

function wordsOf(value: unknown, charactersMax: number): string | undefined {
  return typeof value === 'string' && value !== '' ? value.slice(0, charactersMax) : undefined;
}

/** As Kubernetes takes it. */
function momentOf(value: unknown): string | undefined {
  const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isNaN(ms) ? undefined : new Date(ms).toISOString();
}
