/** Keeps optional fields absent instead of undefined: server-side apply would otherwise be sent holes. */
export function present<T extends object>(value: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== undefined)) as T;
}

/** The value where it is one of a list; programs of other releases may say others. */
export function known<T extends string>(list: readonly T[], value: string | undefined, other: T): T {
  return list.find((one) => one === value) ?? other;
}
