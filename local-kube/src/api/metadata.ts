import type { Cause } from '../schema/cause.ts';
import type { KubeObject, ObjectMeta } from '../store/object.ts';

const LABEL_NAME = /^(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?$/;
const LABEL_VALUE = /^(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/;
const NAME_PART =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE_RULE =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const SUBDOMAIN = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;
const LABEL = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;

/** RBAC names may hold colons and the like; everything else is a DNS subdomain, Services and Namespaces a DNS label. */
export function metadataCauses(object: KubeObject, storage: string): Cause[] {
  const { name, labels = {}, annotations = {} } = object.metadata;
  const causes: Cause[] = [];
  const bad = (field: string, value: string, problem: string): void => {
    causes.push({ reason: 'FieldValueInvalid', field, message: `Invalid value: ${JSON.stringify(value)}: ${problem}` });
  };
  if (storage.startsWith('rbac.authorization.k8s.io/')) {
    if (/[/%]/.test(name)) bad('metadata.name', name, `may not contain '/' or '%'`);
  } else if (storage === 'services') {
    if (!LABEL.test(name) || name.length > 63)
      bad(
        'metadata.name',
        name,
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (at most 63)",
      );
  } else if (!SUBDOMAIN.test(name) || name.length > 253) {
    bad(
      'metadata.name',
      name,
      "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
    );
  }
  for (const [key, value] of Object.entries(labels)) {
    if (!LABEL_NAME.test(key)) bad('metadata.labels', key, NAME_PART);
    if (value.length > 63) bad('metadata.labels', value, 'must be no more than 63 bytes');
    if (!LABEL_VALUE.test(value)) bad('metadata.labels', value, LABEL_VALUE_RULE);
  }
  for (const key of Object.keys(annotations)) {
    if (!LABEL_NAME.test(key)) bad('metadata.annotations', key, NAME_PART);
  }
  return causes;
}

/** Metadata of an update: what the system decides is taken from the live object, whatever the client sent. */
export function keptMetadata(given: ObjectMeta, live: ObjectMeta): ObjectMeta {
  const metadata: ObjectMeta = { ...given, name: live.name };
  const system = [
    'namespace',
    'uid',
    'resourceVersion',
    'generation',
    'creationTimestamp',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
    'generateName',
  ] as const;
  const target: { [key: string]: unknown } = metadata;
  for (const key of system) {
    if (live[key] === undefined) delete target[key];
    else target[key] = live[key];
  }
  return metadata;
}

const SUFFIX_LETTERS = 'bcdfghjklmnpqrstvwxz2456789';

/** `generateName` plus five letters, as the API server makes them (no vowels: no words). */
export function generatedName(prefix: string, random: () => number): string {
  const suffix = Array.from({ length: 5 }, () => SUFFIX_LETTERS[Math.floor(random() * SUFFIX_LETTERS.length)]).join('');
  return `${prefix.slice(0, 58)}${suffix}`;
}

/** RFC 3339 in whole seconds, as object metadata carries it. */
export function instant(nowMs: number): string {
  return new Date(nowMs).toISOString().replace(/\.\d{3}Z$/, 'Z');
}
