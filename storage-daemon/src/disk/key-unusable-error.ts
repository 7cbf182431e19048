/**
 * Stored bytes that are as somebody wrote them and do not open with the key that is here: another key's, or changed by somebody who
 * made their checksum right again. Not damage: nothing is put in their place.
 */
export class KeyUnusableError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'KeyUnusableError';
  }
}
