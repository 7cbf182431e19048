import {
  ageOf,
  clockTime,
  type ClusterStatus,
  type ClusterView,
  copiesVerdict,
  eventTime,
  formatBytes,
  formatMs,
  type Health,
  type HealthLevel,
  healthOf,
  type Instance,
  plural,
  sclLag,
  type Segment,
} from '@kube-aurora/cluster-view';
import { paint, paragraph, type Screen, type Tone } from '../text/paint.ts';
import { table, type Cell } from '../text/table.ts';
import { certificateLines } from './certificates.ts';
import { handoverLines } from './render-handovers.ts';
import { segmentState } from './segment-row.ts';

const MARK: Readonly<Record<HealthLevel, readonly [string, Tone]>> = {
  well: ['✓', 'good'],
  busy: ['…', 'warn'],
  degraded: ['!', 'warn'],
  down: ['✗', 'bad'],
};

const INDENT = '  ';
const ADVICE_SHOWN = 5;
const ADVICE_MARK: Readonly<Record<string, string>> = { critical: '✗', warning: '!', hint: '·' };
const EVENTS_SHOWN = 6;

/** The whole page on one cluster. Pure: the same view and screen give the same text. */
export function renderStatus(view: ClusterView, screen: Screen): string {
  const { cluster } = view;
  const { status } = cluster;
  const health = healthOf(view);
  const sections = [
    headerLines(view, health, screen),
    troubleLines(health, view.now, screen),
    volumeLines(status, screen),
    instanceLines(status, view.now, screen),
    endpointLines(status, screen),
    handoverLines(status, view.now, screen),
    certificateLines(status, view.now, screen),
    adviceLines(status, view.now, screen),
    eventLines(view, screen),
    nextLines(health, screen),
  ];
  return `${sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')}\n`;
}

/** A section's name. */
export function heading(screen: Screen, text: string, beside = ''): string {
  return `${paint(screen, 'bold', text)}${beside === '' ? '' : `   ${beside}`}`;
}

function headerLines({ cluster }: ClusterView, health: Health, screen: Screen): string[] {
  const { metadata, spec } = cluster;
  const [mark, tone] = MARK[health.level];
  const what = `${paint(screen, 'bold', metadata.name)} in namespace ${metadata.namespace ?? 'default'}`;
  const version = spec?.postgresVersion === undefined ? '' : `, PostgreSQL ${spec.postgresVersion}`;
  return [`${what}${version}`, ...paragraph(screen, `${mark} `, health.headline, tone)];
}

function troubleLines(health: Health, now: number, screen: Screen): string[] {
  const lines: string[] = [];
  for (const { about, reason, message, since } of health.problems) {
    const age = ageOf(since, now);
    const when = since === undefined || age === undefined ? '' : `  since ${clockTime(since)} (${age})`;
    const tone = health.level === 'down' ? 'bad' : 'warn';
    lines.push(`${INDENT}${paint(screen, tone, about)}  ${reason}${paint(screen, 'dim', when)}`);
    // Messages are sentences, and clauses with semicolons between: each is a thing to know by itself.
    for (const clause of message.split(/; |\. (?=[A-Z])/)) lines.push(...paragraph(screen, INDENT.repeat(2), clause));
  }
  if (lines.length > 0) lines.unshift(heading(screen, 'What is wrong'));
  if (health.meaning.length > 0)
    lines.push('', heading(screen, 'What it means'), ...health.meaning.flatMap((line) => paragraph(screen, INDENT, line)));
  return lines;
}

function nextLines({ next }: Health, screen: Screen): string[] {
  return next.length === 0 ? [] : [heading(screen, 'Next step'), ...next.map((command) => `${INDENT}${command}`)];
}

function volumeLines(status: ClusterStatus | undefined, screen: Screen): string[] {
  const segments = status?.storage?.segments ?? [];
  if (segments.length === 0) return [];
  const copies = copiesVerdict(status);
  const facts = [
    `epoch ${status?.epoch ?? '-'}`,
    `VDL ${status?.vdl ?? '-'}`,
    `${copies?.up ?? 0} of ${segments.length} copies up`,
    ...(status?.storage?.bytesUsed === undefined ? [] : [`${formatBytes(status.storage.bytesUsed)} in all`]),
    ...(status?.storage?.encryption === undefined ? [] : [`encrypted by ${keyName(status.storage.encryption)}`]),
  ];
  // By zone: a zone fails as one.
  const rows = segments
    .toSorted((a, b) => (a.zone ?? '').localeCompare(b.zone ?? '') || a.id.localeCompare(b.id, 'en', { numeric: true }))
    .map((segment, index, all) => segmentRow(segment, status?.vdl, all[index - 1]?.zone === segment.zone));
  return [
    heading(screen, 'Volume', facts.join(' · ')),
    ...table(screen, ['ZONE', 'SEGMENT', 'ROLE', 'STATE', 'SCL LAG', 'USED', 'OF', ''], rows, {
      indent: INDENT,
      right: ['SCL LAG', 'USED'],
    }),
  ];
}

function segmentRow(segment: Segment, vdl: string | undefined, sameZone: boolean): readonly Cell[] {
  const { id, zone = '-', role, bytesUsed, size = '', standIn } = segment;
  const lag = sclLag(segment, vdl);
  const notes = [segment.message ?? '', standIn?.of === undefined ? '' : `holds pages in the place of ${standIn.of}`].filter(
    (note) => note !== '',
  );
  return [
    sameZone ? '' : zone,
    id,
    role === 'TAIL' ? 'tail' : 'full',
    segmentState(segment),
    lag === undefined ? '-' : lag === 0 ? '0' : { text: formatBytes(lag), tone: 'warn' },
    bytesUsed === undefined ? '-' : formatBytes(bytesUsed),
    size,
    { text: notes.join('; '), tone: 'dim' },
  ];
}

const INSTANCE_TONE: Readonly<Record<string, readonly [string, Tone]>> = {
  Serving: ['✓', 'good'],
  Starting: ['…', 'warn'],
  Lagging: ['!', 'warn'],
  Lost: ['✗', 'bad'],
};

function instanceLines(status: ClusterStatus | undefined, now: number, screen: Screen): string[] {
  const instances = status?.instances ?? [];
  if (instances.length === 0) return [];
  const headers = ['INSTANCE', 'ROLE', 'ZONE', 'STATE', 'FOR', 'LAG', 'READY', 'RESTARTS', 'TIER', 'WARM', ''];
  return [
    heading(screen, 'Instances', autoscalingText(status)),
    ...table(
      screen,
      headers,
      instances.map((instance) => instanceRow(instance, now)),
      { indent: INDENT, right: ['LAG', 'RESTARTS', 'TIER', 'WARM'] },
    ),
  ];
}

function instanceRow(instance: Instance, now: number): readonly Cell[] {
  const { name, role = '-', zone = '-', state = '-', since, lagMs, ready, restarts = 0, promotionTier, cacheWarmPercent, phase } = instance;
  const [mark, tone] = INSTANCE_TONE[state] ?? ['?', 'plain'];
  const doing = state === 'Serving' ? '' : [phase, instance.message].filter((text) => text !== undefined && text !== '').join(': ');
  return [
    name,
    role === 'writer' ? { text: role, tone: 'bold' } : role,
    zone,
    { text: `${mark} ${state}`, tone },
    ageOf(since, now) ?? '-',
    lagMs === undefined ? '-' : formatMs(lagMs),
    ready === true ? 'yes' : { text: 'no', tone: 'bad' },
    restarts === 0 ? '0' : { text: String(restarts), tone: 'warn' },
    promotionTier === undefined ? '' : String(promotionTier),
    cacheWarmPercent === undefined ? '' : `${cacheWarmPercent} %`,
    { text: doing, tone: 'dim' },
  ];
}

function autoscalingText(status: ClusterStatus | undefined): string {
  const { autoscaling } = status ?? {};
  return autoscaling === undefined
    ? ''
    : `autoscaling: ${autoscaling.state ?? ''}${autoscaling.message === undefined ? '' : `, ${autoscaling.message}`}`;
}

function endpointLines(status: ClusterStatus | undefined, screen: Screen): string[] {
  const { endpoints, compute, writer, tokenLogins, instances = [] } = status ?? {};
  if (endpoints === undefined) return [];
  const serving = new Set(instances.filter(({ state }) => state === 'Serving').map(({ name }) => name));
  const to = (names: readonly string[]): Cell => (names.length === 0 ? { text: 'nobody at present', tone: 'bad' } : names.join(', '));
  const rows: (readonly Cell[])[] = [
    ['read-write', endpoints.readWrite ?? '', to(writer !== undefined && serving.has(writer) ? [writer] : [])],
    ['read-only', endpoints.readOnly ?? '', to(compute?.readOnly ?? [])],
    ['any', endpoints.read ?? '', to([...serving])],
    ...(endpoints.custom ?? []).map((one): readonly Cell[] => [one.name, one.address ?? '', to(one.instances ?? [])]),
    ...(tokenLogins === undefined ? [] : [['tokens', tokenLogins.endpoint, `as read-write; audience ${tokenLogins.audience}`]]),
  ];
  return [heading(screen, 'Endpoints'), ...table(screen, ['ENDPOINT', 'ADDRESS', 'LEADS TO'], rows, { indent: INDENT })];
}

/** What an administrator would do in the database, most urgent first, as the status has it. */
function adviceLines(status: ClusterStatus | undefined, now: number, screen: Screen): string[] {
  const advice = status?.advice ?? [];
  if (advice.length === 0) return [];
  const lines = advice.slice(0, ADVICE_SHOWN).flatMap(({ severity, subject, what, since, remedy }) => {
    const age = ageOf(since, now);
    return [
      ...paragraph(
        screen,
        `${INDENT}${ADVICE_MARK[severity] ?? '·'} `,
        `${subject === undefined ? '' : `${subject}: `}${what}${age === undefined ? '' : ` (${age})`}`,
      ),
      ...paragraph(screen, INDENT.repeat(2), remedy, 'dim'),
    ];
  });
  const most = advice.length > ADVICE_SHOWN ? `the most urgent of ${plural(advice.length, 'finding')}; ` : '';
  return [heading(screen, 'Advice', `${most}with -o yaml the query that shows each`), ...lines];
}

function eventLines({ events, now }: ClusterView, screen: Screen): string[] {
  if (events === undefined) return [heading(screen, 'Events'), `${INDENT}not shown: this account may not read them`];
  const rows = events
    .toSorted((a, b) => eventTime(b).localeCompare(eventTime(a)))
    .slice(0, EVENTS_SHOWN)
    .map((event): readonly Cell[] => [
      ageOf(eventTime(event), now) ?? '',
      event.type === 'Warning' ? { text: 'Warning', tone: 'warn' } : (event.type ?? ''),
      event.reason ?? '',
      `${event.message ?? ''}${(event.count ?? 1) > 1 ? ` (${event.count} times)` : ''}`,
    ]);
  if (rows.length === 0) return [];
  const more = events.length - rows.length;
  return [
    heading(screen, 'Events', more > 0 ? `the newest of ${plural(events.length, 'event')}` : ''),
    ...table(screen, ['AGO', 'TYPE', 'REASON', 'MESSAGE'], rows, { indent: INDENT }),
  ];
}

function keyName({ secret, key, kms }: NonNullable<NonNullable<ClusterStatus['storage']>['encryption']>): string {
  return kms === undefined ? `${secret ?? '?'}/${key ?? '?'}` : `the KMS of ${kms}`;
}
