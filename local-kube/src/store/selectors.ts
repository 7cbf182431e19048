import { isObject, valueAt, type JsonObject, type KubeObject } from './object.ts';

export type Predicate = (object: KubeObject) => boolean;

/** A selector that cannot be read; the text says which part. */
export class SelectorError extends Error {}

/**
 * Label selectors as in URLs: `a=b,c!=d,e in (f,g),h notin (i),j,!k`.
 * https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
 */
export function parseLabelSelector(text: string): Predicate {
  const tests = splitOutsideParentheses(text).map((part) => labelTest(part.trim()));
  return (object) => tests.every((test) => test(object.metadata.labels ?? {}));
}

function labelTest(part: string): (labels: { [key: string]: string }) => boolean {
  const set = /^(\S+)\s+(in|notin)\s*\(([^)]*)\)$/.exec(part);
  if (set !== null) {
    const [, key = '', operator, list = ''] = set;
    const values = new Set(list.split(',').map((value) => value.trim()));
    const listed = (labels: { [key: string]: string }): boolean => labels[key] !== undefined && values.has(labels[key]);
    return operator === 'in' ? listed : (labels) => !listed(labels);
  }
  const equal = /^([^\s=!]+)\s*(==|=|!=)\s*([^\s=!]*)$/.exec(part);
  if (equal !== null) {
    const [, key = '', operator, value = ''] = equal;
    return operator === '!=' ? (labels) => labels[key] !== value : (labels) => labels[key] === value;
  }
  const twice = /^[^\s=!]+\s*(?:==|=|!=)\s*[^\s=!]+\s*(==|=|!=)/.exec(part);
  if (twice !== null) throw new SelectorError(`found '${twice[1] ?? ''}', expected: ',' or 'end of string'`);
  const absent = /^!\s*([^\s=!(),]+)$/.exec(part);
  if (absent !== null) return (labels) => labels[absent[1] ?? ''] === undefined;
  if (/^[^\s=!(),]+$/.test(part)) return (labels) => labels[part] !== undefined;
  throw new SelectorError(`unable to parse requirement: found '${part}', expected a label requirement such as key=value`);
}

function splitOutsideParentheses(text: string): string[] {
  return text.split(/,(?![^(]*\))/).filter((part) => part.trim() !== '');
}

/** What a field selector compares: a field of an object as text. */
export type FieldReader = (object: KubeObject, field: string) => string;

/** Any field by its path; an absent one is the empty string. */
export function fieldText(object: KubeObject, field: string): string {
  const found = valueAt(object, ...field.split('.'));
  return found === undefined || found === null ? '' : String(found);
}

/**
 * Field selectors: `metadata.name=x,status.phase!=Running`. `checkField` throws for a field that the kind cannot be
 * selected by; without that check a selector with a slip of the pen in it would match nothing, or everything.
 */
export function parseFieldSelector(
  text: string,
  checkField: (field: string) => void = () => undefined,
  read: FieldReader = fieldText,
): Predicate {
  const tests = text
    .split(',')
    .filter((part) => part !== '')
    .map((part): Predicate => {
      const match = /^([^=!]+)(==|=|!=)(.*)$/.exec(part);
      if (match === null) throw new SelectorError(`invalid selector: '${text}'; can't understand '${part}'`);
      const [, field = '', operator, value = ''] = match;
      checkField(field.trim());
      return (object) => (read(object, field.trim()) === value) === (operator !== '!=');
    });
  return (object) => tests.every((test) => test(object));
}

/**
 * The LabelSelector of specs: matchLabels and matchExpressions. An empty selector matches everything, an absent one
 * nothing.
 */
export function matchesLabelSelector(selector: JsonObject | undefined, labels: { [key: string]: string } = {}): boolean {
  if (selector === undefined) return false;
  const matchLabels = selector['matchLabels'];
  if (isObject(matchLabels) && !matchesLabels(matchLabels, labels)) return false;
  const expressions = selector['matchExpressions'];
  return !Array.isArray(expressions) || expressions.every((expression) => isObject(expression) && matchesExpression(expression, labels));
}

/** A LabelSelector as the text that URLs carry. */
export function labelSelectorText(selector: JsonObject): string {
  const labels = selector['matchLabels'];
  const equal = isObject(labels) ? Object.entries(labels).map(([key, value]) => `${key}=${String(value)}`) : [];
  const expressions = Array.isArray(selector['matchExpressions']) ? selector['matchExpressions'].filter(isObject) : [];
  const others = expressions.map(({ key, operator, values }) => {
    const listed = Array.isArray(values) ? values.map(String).toSorted().join(',') : '';
    if (operator === 'In' || operator === 'NotIn') return `${String(key)} ${operator === 'In' ? 'in' : 'notin'} (${listed})`;
    return operator === 'DoesNotExist' ? `!${String(key)}` : String(key);
  });
  return [...equal, ...others].toSorted().join(',');
}

export function matchesLabels(wanted: JsonObject, labels: { [key: string]: string } = {}): boolean {
  return Object.entries(wanted).every(([key, value]) => labels[key] === value);
}

/** One requirement of a label selector or a node selector term. Unknown operators match nothing. */
export function matchesExpression(expression: JsonObject, labels: { [key: string]: string }): boolean {
  const value = labels[String(expression['key'])];
  const values = Array.isArray(expression['values']) ? expression['values'] : [];
  switch (expression['operator']) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
      return Number(value) > Number(values[0]);
    case 'Lt':
      return Number(value) < Number(values[0]);
    default:
      return false;
  }
}
