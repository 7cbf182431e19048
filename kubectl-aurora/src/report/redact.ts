import { isSecretField, maskSecrets, REDACTED } from '@kube-aurora/log';

/** Shorter ones are no secrets, and would take half of the words with them. */
const SECRET_CHARACTERS_MIN = 4;

/** Statements may have anything in them. */
const STATEMENTS = /^postInit\w*SQL$/;
/** kubectl's copy of the manifest as it was applied. */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/** All ways in which a secret may be written. */
function variants(secret: string): readonly string[] {
  return [
    secret,
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
    // As a JSON text within a JSON text: a log line in a status, say.
    JSON.stringify(JSON.stringify(secret).slice(1, -1)).slice(1, -1),
    // As an SQL literal, and as a line of .pgpass.
    secret.replaceAll("'", "''"),
    secret.replaceAll(/[\\:]/g, String.raw`\$&`),
    Buffer.from(secret).toString('base64'),
  ];
}

/** Takes out what is secret: `known` values wherever and however they stand, and what looks like one. */
export function redactor(known: readonly string[]): {
  readonly text: (text: string) => string;
  readonly object: (value: unknown) => unknown;
} {
  const words = [...new Set(known.filter((secret) => secret.length >= SECRET_CHARACTERS_MIN).flatMap(variants))].toSorted(
    (a, b) => b.length - a.length,
  );
  const text = (given: string): string => {
    return maskSecrets(words.reduce((rest, word) => rest.replaceAll(word, REDACTED), given));
  };
  const object = (value: unknown): unknown => {
    if (typeof value === 'string') return text(value);
    if (Array.isArray(value)) return value.map(object);
    if (typeof value !== 'object' || value === null) return value;
    const fields = Object.entries(value);
    // An environment variable, or an argument by name.
    const named = (value as { readonly name?: unknown }).name;
    const isSecret = typeof named === 'string' && isSecretField(named);
    return Object.fromEntries(
      fields.flatMap(([key, inner]): readonly (readonly [string, unknown])[] => {
        if (key === LAST_APPLIED) return [];
        if (STATEMENTS.test(key)) return [[key, REDACTED]];
        if (isSecretField(key) || (isSecret && key === 'value')) return [[key, typeof inner === 'object' ? object(inner) : REDACTED]];
        return [[key, object(inner)]];
      }),
    );
  };
  return { text, object };
}
