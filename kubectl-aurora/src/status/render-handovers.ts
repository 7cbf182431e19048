import {
  ageOf,
  clockTime,
  type ClusterStatus,
  formatMs,
  HANDOVER_PARTS,
  type HandoverParts,
  transactionsText,
  type Switchover,
} from '@kube-aurora/cluster-view';
import { paint, paragraph, type Screen, type Tone } from '../text/paint.ts';

/** The last failover and the last switchover, with what each part took. */
export function handoverLines(status: ClusterStatus | undefined, now: number, screen: Screen): string[] {
  const { failover, switchover } = status ?? {};
  const lines: string[] = [];
  if (failover !== undefined) {
    const { from = '?', to = '?', at, tookMs, reason, phases, inPlace } = failover;
    const why = reason === 'Silent' ? 'storage heard it no more' : reason === 'PostgresDied' ? 'its PostgreSQL died' : (reason ?? '');
    const took = tookMs === undefined ? '' : ` in ${formatMs(tookMs)}`;
    lines.push(
      ...paragraph(
        screen,
        `  failover    ${when(at, now)}  `,
        `${from} → ${to}${took} (${why})${inPlace === false ? '; a new PostgreSQL was started' : ''}`,
      ),
      ...partLines(phases, screen),
    );
  }
  if (switchover !== undefined) lines.push(...switchoverLines(switchover, now, screen));
  return lines.length === 0 ? [] : [paint(screen, 'bold', 'Handovers'), ...lines];
}

const SWITCHOVER_TONE: Readonly<Record<string, Tone>> = { InProgress: 'warn', Done: 'good', Refused: 'warn', Failed: 'bad' };

/** One switchover: what came of it, and what it took. */
export function switchoverLines(switchover: Switchover, now: number, screen: Screen): string[] {
  const { from = '?', to, state, startedAt, message = '', phases, transactions } = switchover;
  const cut = transactions === undefined ? '' : `; ${transactionsText(transactions)}`;
  const head = `  switchover  ${when(startedAt, now)}  `;
  return [
    `${head}${from} → ${to}: ${paint(screen, SWITCHOVER_TONE[state] ?? 'plain', state)}${cut}`,
    ...(state === 'Done' || message === '' ? [] : paragraph(screen, ' '.repeat(head.length), message)),
    ...partLines(phases, screen),
  ];
}

function when(at: string | undefined, now: number): string {
  return at === undefined ? '' : `${clockTime(at)} (${ageOf(at, now) ?? ''} ago)`;
}

function partLines(phases: HandoverParts | undefined, screen: Screen): string[] {
  const text = partsText(phases);
  return text === '' ? [] : [`              ${paint(screen, 'dim', text)}`];
}

/** `detected 1.2 s · opened 120 ms · …`, of the parts that are over. */
export function partsText(phases: HandoverParts | undefined): string {
  return HANDOVER_PARTS.flatMap((part) => {
    const ms = phases?.[part];
    return ms === undefined ? [] : [`${part.slice(0, -2)} ${formatMs(ms)}`];
  }).join(' · ');
}
