import { Quorums, type SegmentRole } from '@kube-aurora/volume/quorum';
import type { ClusterStatus, Segment } from './resources.ts';

/** What the six copies amount to. Every acknowledged commit is on a write quorum of them. */
export interface CopiesVerdict {
  readonly all: number;
  readonly up: number;
  readonly writesGoOn: boolean;
  /** So many more may be lost, whichever they are, and writes go on. */
  readonly toSpare: number;
  /** Copies that say that they hold all that they ever acknowledged; undefined where the operator does not tell. */
  readonly sound: number | undefined;
  /** True: every acknowledged commit is there. Undefined: nobody can say. Never false: what is missing may come back. */
  readonly nothingLost: true | undefined;
}

/** Undefined until there are copies to speak of. */
export function copiesVerdict(status: ClusterStatus | undefined): CopiesVerdict | undefined {
  const segments = status?.storage?.segments ?? [];
  if (segments.length === 0) return undefined;
  const quorums = new Quorums(segments.map(roleOf));
  const up = segments.filter(({ ready }) => ready === true);
  const writesGoOn = quorums.isWrite(up.map(roleOf));
  const tells = segments.some(({ sound }) => sound !== undefined);
  const sound = segments.filter((segment) => segment.sound === true);
  return {
    all: segments.length,
    up: up.length,
    writesGoOn,
    toSpare: writesGoOn ? lossesBorne(up.map(roleOf), quorums) : 0,
    sound: tells ? sound.length : undefined,
    nothingLost: tells && quorums.isRead(sound.map(roleOf)) ? true : undefined,
  };
}

function roleOf({ role }: Segment): SegmentRole {
  return role ?? 'FULL';
}

/** The fewest of these whose loss ends the write quorum, less one. All sets of six are tried: 64. */
function lossesBorne(roles: readonly SegmentRole[], quorums: Quorums): number {
  let fewest = roles.length;
  for (let set = 0; set < 2 ** roles.length; set++) {
    const left = roles.filter((_role, index) => ((set >> index) & 1) === 0);
    if (!quorums.isWrite(left)) fewest = Math.min(fewest, roles.length - left.length);
  }
  return Math.max(0, fewest - 1);
}
