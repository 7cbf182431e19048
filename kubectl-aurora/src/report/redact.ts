/** In the place of what nobody is to see. */
export const REDACTED = '***';

/** Shorter ones are no secrets, and would take half of the words with them. */
const SECRET_CHARACTERS_MIN = 4;

/** Fields that hold something secret; those that name where it stands, or since when, do not. */
const SECRET_FIELD = /passw|token|authorization|private.?key|api.?key|credential$|scram/i;
const NAMES_ONE = /(name|ref|refs|at|since|file|path)$/i;
/** Statements may have anything in them. */
const STATEMENTS = /^postInit\w*SQL$/;
/** kubectl's copy of the manifest as it was applied. */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/** Secrets that are told by how they look, wherever they stand. */
const PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[^]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g, REDACTED],
  // scheme://user:password@host
  [/(\b[a-z][a-z\d+.-]*:\/\/[^\s:/@"']*:)[^\s@"']+@/gi, `$1${REDACTED}@`],
  // password=… as libpq, JDBC and many a program have it
  [/(\bpass(?:word|wd)?(?:"|')?\s*[=:]\s*)("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.|'')*'|[^\s,;&"'}]+)/gi, `$1${REDACTED}`],
  // alter role … password '…', with plain or escaped quotes
  [/(\bpassword\s+)(?:'(?:[^']|'')*'|\\?"[^"]*"|\$(\w*)\$[^]*?\$\2\$)/gi, `$1${REDACTED}`],
  [/SCRAM-SHA-256\$[^\s"']+/g, REDACTED],
  [/\bmd5[\da-f]{32}\b/g, REDACTED],
  [/(\bBearer\s+)[\w.~+/=-]+/gi, `$1${REDACTED}`],
  // JSON Web Tokens
  [/\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g, REDACTED],
];

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
    const masked = words.reduce((rest, word) => rest.replaceAll(word, REDACTED), given);
    return PATTERNS.reduce((rest, [pattern, instead]) => rest.replaceAll(pattern, instead), masked);
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

function isSecretField(name: string): boolean {
  return SECRET_FIELD.test(name) && !NAMES_ONE.test(name);
}
