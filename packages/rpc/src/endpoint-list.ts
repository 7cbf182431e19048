import type { SegmentRole } from '@kube-aurora/volume';

/** Where a storage daemon is, and what its segment of the volume is. */
export interface Endpoint {
  readonly id: string;
  /** Empty where it is not known. */
  readonly zone: string;
  /** host:port of its gRPC services. */
  readonly address: string;
  /** host:port where it speaks frames; empty where it is not known. */
  readonly framesAddress: string;
  readonly role: SegmentRole;
}

const FORMS = {
  zoned: {
    text: 'id=zone=host:port/frames-port, with =tail after it for a segment without pages',
    entry: /^(?<id>[^=\s]+)=(?<zone>[^=\s]*)=(?<host>[^=\s/]+):(?<port>\d{1,5})\/(?<frames>\d{1,5})(?:=(?<role>full|tail))?$/,
  },
  plain: {
    text: 'id=host:port, with =tail after it for a segment without pages',
    entry: /^(?<id>[^=\s]+)=(?<host>[^=\s/]+):(?<port>\d{1,5})(?:=(?<role>full|tail))?$/,
  },
} as const;

const isPort = (text: string | undefined): boolean => Number(text ?? 0) >= 1 && Number(text ?? 0) <= 65_535;

/**
 * Reads a comma list of daemons, in one of two forms: zoned (`id=zone=host:port/frames-port`, what computes are given)
 * or plain (`id=host:port`, what daemons are given of one another), either with `=tail` after it where the segment is
 * one. Throws an Error that names the entry that is wrong, or what two of them share.
 */
export function parseEndpoints(text: string, form: keyof typeof FORMS): Endpoint[] {
  const endpoints = text.split(',').map((entry): Endpoint => {
    const groups = FORMS[form].entry.exec(entry.trim())?.groups;
    const frames = groups?.['frames'];
    if (groups === undefined || !isPort(groups['port']) || (form === 'zoned' && !isPort(frames)))
      throw new Error(`'${entry.trim()}' is not ${FORMS[form].text}`);
    const host = groups['host'] ?? '';
    const port = groups['port'] ?? '';
    if (port === frames) throw new Error(`'${entry.trim()}': frames have a port of their own, and not that of gRPC`);
    const framesAddress = frames === undefined ? '' : `${host}:${frames}`;
    const role = groups['role'] === 'tail' ? 'TAIL' : 'FULL';
    return { id: groups['id'] ?? '', zone: groups['zone'] ?? '', address: `${host}:${port}`, framesAddress, role };
  });
  for (const key of ['id', 'address', 'framesAddress'] as const) {
    const twice = endpoints.find((one, index) => one[key] !== '' && endpoints.findIndex((other) => other[key] === one[key]) !== index);
    if (twice !== undefined) throw new Error(`names the same ${key === 'framesAddress' ? 'frames address' : key} twice: ${twice[key]}`);
  }
  return endpoints;
}

/** The parts of `host:port`; an IPv6 host stands in brackets there. */
export function splitAddress(address: string): { host: string; port: number } {
  const at = address.lastIndexOf(':');
  return { host: address.slice(0, at).replace(/^\[(.*)\]$/, '$1'), port: Number(address.slice(at + 1)) };
}
