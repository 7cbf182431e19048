const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? String(Math.round(value)) : value.toFixed(value < 10 ? 1 : 0)} ${BYTE_UNITS[unit] ?? ''}`;
}

/** As kubectl has ages: 45s, 12m, 3h5m, 2d4h. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return minutes < 10 && seconds % 60 > 0 ? `${minutes}m${seconds % 60}s` : `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 > 0 ? `${hours}h${minutes % 60}m` : `${hours}h`;
  const days = Math.floor(hours / 24);
  return days < 8 && hours % 24 > 0 ? `${days}d${hours % 24}h` : `${days}d`;
}

/** A short time: 12 ms, 3.4 s, 5 min. */
export function formatMs(ms: number): string {
  if (ms < 1000) return `${Number(ms.toFixed(ms < 10 && !Number.isInteger(ms) ? 1 : 0))} ms`;
  return ms < 120_000 ? `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s` : `${Math.round(ms / 60_000)} min`;
}

/** How long ago; undefined for what is no time. */
export function ageOf(at: string | undefined, now: number): string | undefined {
  const ms = at === undefined ? Number.NaN : Date.parse(at);
  return Number.isNaN(ms) ? undefined : formatAge(now - ms);
}

/** The time of day, UTC, as programs' logs have it. */
export function clockTime(at: string): string {
  return at.slice(11, 19);
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** What became of the transactions that a switchover met. */
export function transactionsText({ finished, cutOff }: { readonly finished: number; readonly cutOff: number }): string {
  return `${plural(finished, 'transaction')} ended by ${finished === 1 ? 'itself' : 'themselves'}, ${cutOff} cut off`;
}
