/** In the place of what nobody is to see. */
export const REDACTED = '***';

/** Fields that hold something secret; those that name where it stands, or since when, do not. */
const SECRET_FIELD = /passw|token|authorization|private.?key|api.?key|credential$|scram/i;
const NAMES_ONE = /(name|ref|refs|at|since|file|path)$/i;

export function isSecretField(name: string): boolean {
  return SECRET_FIELD.test(name) && !NAMES_ONE.test(name);
}

/** A literal of SQL; where its end was cut off, all that is left. */
const LITERAL = String.raw`(?:e'(?:[^'\\]|\\[^]|'')*(?:'|$)|(?:u&)?'(?:[^']|'')*(?:'|$)|\\?"[^"]*(?:"|$)|\$(\w*)\$[^]*?(?:\$\2\$|$))`;

/** Secrets that are told by how they look, wherever they stand. Each is tried on what those before it left. */
const PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[^]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g, REDACTED],
  // scheme://user:password@host
  [/(\b[a-z][a-z\d+.-]*:\/\/[^\s:/@"']*:)[^\s@"]+@/gi, `$1${REDACTED}@`],
  // password=… as libpq, JDBC and many a program have it, also within a literal of SQL
  [
    /(\bpass(?:word|wd)?(?:"|')?\s*[=:]\s*)("(?:[^"\\]|\\.)*"|''(?:[^'\\]|\\.|'''')*''|'(?:[^'\\]|\\.|'')*'|[^\s,;&"'}]+)/gi,
    `$1${REDACTED}`,
  ],
  // alter role … password '…', in every notation of a text, with plain or escaped quotes
  [new RegExp(String.raw`(\bpassword\s+)${LITERAL}`, 'gi'), `$1${REDACTED}`],
  // … and where it is none, by mistake: all of the rest
  [/(\b(?:create|alter)\s+(?:role|user|group)\b[^;]*?\bpassword\s+)(?!null\b|\*\*\*)[^;]+/gi, `$1${REDACTED}`],
  [/SCRAM-SHA-256\$[^\s"']+/g, REDACTED],
  [/\bmd5[\da-f]{32}\b/g, REDACTED],
  [/(\bBearer\s+)[\w.~+/=-]+/gi, `$1${REDACTED}`],
  // JSON Web Tokens
  [/\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g, REDACTED],
];

/** Cheap, and true of every text that a pattern finds something in. */
const MAYBE = /pass|:\/\/|PRIVATE KEY|SCRAM|md5|Bearer|eyJ/i;

/** Takes out what looks like a secret: passwords in statements and connection strings, private keys, tokens. */
export function maskSecrets(text: string): string {
  return MAYBE.test(text) ? PATTERNS.reduce((rest, [pattern, instead]) => rest.replaceAll(pattern, instead), text) : text;
}
