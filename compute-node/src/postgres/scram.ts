import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto';

/**
 * SCRAM-SHA-256 verifiers as PostgreSQL keeps them in pg_authid (RFC 5802 and 7677; libpq's scram-common.c for the
 * text): `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, base64. A password never has to cross in a
 * statement.
 */
const ITERATIONS = 4096;
const SALT_BYTES = 16;
const KEY_BYTES = 32;

export function scramVerifier(password: string, salt: Buffer = randomBytes(SALT_BYTES), iterations = ITERATIONS): string {
  // SASLprep is NFKC for what people type; ASCII stays as it is.
  const salted = pbkdf2Sync(password.normalize('NFKC'), salt, iterations, KEY_BYTES, 'sha256');
  const clientKey = createHmac('sha256', salted).update('Client Key').digest();
  const storedKey = createHash('sha256').update(clientKey).digest('base64');
  const serverKey = createHmac('sha256', salted).update('Server Key').digest('base64');
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${storedKey}:${serverKey}`;
}

/** Whether a verifier belongs to the password; false also for other kinds of passwords. */
export function verifierMatches(verifier: string, password: string): boolean {
  const match = /^SCRAM-SHA-256\$(\d+):([A-Za-z0-9+/=]+)\$[A-Za-z0-9+/=]+:[A-Za-z0-9+/=]+$/.exec(verifier);
  if (match === null) return false;
  const expected = Buffer.from(scramVerifier(password, Buffer.from(match[2] ?? '', 'base64'), Number(match[1])));
  const found = Buffer.from(verifier);
  return expected.length === found.length && timingSafeEqual(expected, found);
}
