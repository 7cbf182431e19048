import { type ClusterStatus, formatAge } from '@kube-aurora/cluster-view';
import { paint, type Screen } from '../text/paint.ts';
import { table, type Cell } from '../text/table.ts';

/** They are renewed long before: one that ends so soon has been forgotten. */
const SOON_MS = 86_400_000;

const MODE: Readonly<Record<string, string>> = {
  require: 'programs speak TLS alone',
  prefer: 'on the way from plain text to TLS',
  permit: 'on the way from plain text to TLS',
};
const ROTATION: Readonly<Record<string, string>> = {
  Announced: 'a new authority is made known',
  IssuingByNew: 'certificates come from the new authority',
};

/** When certificates end; nothing where the operator makes none. */
export function certificateLines(status: ClusterStatus | undefined, now: number, screen: Screen): string[] {
  const { certificates } = status ?? {};
  if (certificates === undefined) return [];
  const { mode = '', rotation, authority, programs = [] } = certificates;
  const facts = [MODE[mode] ?? mode, rotation === undefined ? '' : (ROTATION[rotation] ?? rotation)].filter((fact) => fact !== '');
  const rows = [{ role: 'authority', ...authority }, ...programs].map(({ role, secret = '', validUntil = '' }): readonly Cell[] => [
    role,
    endOf(validUntil, now),
    validUntil.slice(0, 16).replace('T', ' '),
    secret,
  ]);
  return [
    `${paint(screen, 'bold', 'Certificates')}   ${facts.join('; ')}`.trimEnd(),
    ...table(screen, ['CERTIFICATE', 'ENDS', 'AT (UTC)', 'SECRET'], rows, { indent: '  ' }),
  ];
}

function endOf(validUntil: string, now: number): Cell {
  const leftMs = Date.parse(validUntil) - now;
  if (Number.isNaN(leftMs)) return '-';
  if (leftMs <= 0) return { text: `${formatAge(-leftMs)} ago`, tone: 'bad' };
  const text = `in ${formatAge(leftMs)}`;
  return leftMs < SOON_MS ? { text, tone: 'warn' } : text;
}
