/** Where a storage daemon is. */
export interface Endpoint {
  readonly id: string;
  /** Empty where it is not known. */
  readonly zone: string;
  /** host:port. */
  readonly address: string;
}

const FORMS = {
  zoned: { text: 'id=zone=host:port', entry: /^(?<id>[^=\s]+)=(?<zone>[^=\s]*)=(?<address>[^=\s]+:(?<port>\d{1,5}))$/ },
  plain: { text: 'id=host:port', entry: /^(?<id>[^=\s]+)=(?<address>[^=\s]+:(?<port>\d{1,5}))$/ },
} as const;

/**
 * Reads a comma list of daemons, in one of two forms: zoned (`id=zone=host:port`, what computes are given) or plain (`id=host:port`,
 * what daemons are given of one another). Throws an Error that names the entry that is wrong, or what two of them share.
 */
export function parseEndpoints(text: string, form: keyof typeof FORMS): Endpoint[] {
  const endpoints = text.split(',').map((entry): Endpoint => {
    const groups = FORMS[form].entry.exec(entry.trim())?.groups;
    const port = Number(groups?.['port'] ?? 0);
    if (groups === undefined || port < 1 || port > 65_535) throw new Error(`'${entry.trim()}' is not ${FORMS[form].text}`);
    return { id: groups['id'] ?? '', zone: groups['zone'] ?? '', address: groups['address'] ?? '' };
  });
  for (const key of ['id', 'address'] as const) {
    const twice = endpoints.find((one, index) => endpoints.findIndex((other) => other[key] === one[key]) !== index);
    if (twice !== undefined) throw new Error(`names the same ${key} twice: ${twice[key]}`);
  }
  return endpoints;
}
