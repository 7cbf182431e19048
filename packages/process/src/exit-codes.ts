/** What a program's exit says to whoever started it (sysexits.h where one fits). */
export const EXIT = {
  ok: 0,
  /** EX_USAGE: a flag or environment variable is missing or wrong; restarting will not help. */
  badConfig: 64,
  /** EX_SOFTWARE: a bug or an unforeseen failure; details are in the log. */
  internal: 70,
  /** EX_TEMPFAIL: stopped while storage had no quorum. */
  noQuorum: 75,
  /** EX_CONFIG: another writer holds a higher volume epoch. */
  fenced: 78,
} as const;
