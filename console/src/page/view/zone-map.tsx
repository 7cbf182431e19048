import type { ClusterAnswer, Heard, InstanceView, SegmentView } from '../../answers/answers.ts';
import { instanceState, segmentState, type Tone } from '../model/tones.ts';
import { age, bytes, count, duration, shortName } from '../model/words.ts';
import { zonesOf, type Zone } from '../model/zones.ts';
import { Mark } from './mark.tsx';

interface MapProps {
  readonly cluster: ClusterAnswer;
  readonly now: number;
}

/** Zones with what stands in them: instances above, copies of the volume below. */
export function ZoneMap({ cluster, now }: MapProps) {
  const zones = zonesOf(cluster.segments, cluster.instances);
  // One measure for all: who is behind is seen, and by how much.
  const most = Math.max(64 * 1024, ...cluster.segments.map(({ lagBytes }) => lagBytes ?? 0));
  return (
    <section class="panel map" aria-label="Where everything stands">
      <header>
        <h2>Zones</h2>
        <p class="quiet">
          epoch {cluster.epoch ?? '–'} · VDL <span class="mono">{cluster.vdl ?? '–'}</span>
        </p>
      </header>
      {zones.length === 0 ? (
        <p class="empty">Nothing stands anywhere yet: the first pods appear here as soon as they have a node.</p>
      ) : (
        <div class="zones">
          {zones.map((zone) => (
            <ZoneCard key={zone.name ?? ''} zone={zone} cluster={cluster} now={now} most={most} />
          ))}
        </div>
      )}
    </section>
  );
}

function ZoneCard({ zone, cluster, now, most }: MapProps & { readonly zone: Zone; readonly most: number }) {
  const { name, instances, segments, isLost } = zone;
  return (
    <article class={`zone${isLost ? ' is-lost' : ''}`}>
      <h3>
        {name ?? 'no zone yet'}
        {isLost && (
          <span class="zone-lost">
            <Mark tone="bad" size={14} /> does not answer
          </span>
        )}
      </h3>
      <ul class={`instances${instances.length > 2 ? ' are-many' : ''}`}>
        {instances.map((instance) => (
          <Instance key={instance.name} instance={instance} cluster={cluster} now={now} />
        ))}
        {instances.length === 0 && <li class="empty">no instance here</li>}
      </ul>
      <ul class="segments">
        {segments.map((segment) => (
          <Segment key={segment.id} segment={segment} cluster={cluster.name} now={now} most={most} />
        ))}
      </ul>
    </article>
  );
}

function Instance({ instance, cluster, now }: MapProps & { readonly instance: InstanceView }) {
  const { name, role, lagMs, connections, load, cacheWarmPercent, message, restarts } = instance;
  const { tone, word } = instanceState(instance);
  const isWriter = role === 'writer';
  const facts = [
    isWriter ? undefined : lagMs === null ? 'lag not known' : `${duration(lagMs)} behind`,
    connections === null ? undefined : `${count(connections)} ${connections === 1 ? 'client' : 'clients'}`,
    load === null ? undefined : `load ${count(load)}`,
    cacheWarmPercent === null ? undefined : `cache ${cacheWarmPercent} % warm`,
    restarts > 0 ? `restarted ${restarts}×` : undefined,
  ].filter((fact) => fact !== undefined);
  return (
    <li class={`instance tone-${tone}${isWriter ? ' is-writer' : ''}`} title={`${name}: ${role}, ${word}`}>
      <span class="instance-head">
        <Mark tone={tone} />
        <strong>{shortName(name, cluster.name)}</strong>
        <span class={`role${isWriter ? ' role-writer' : ''}`}>{role === '' ? 'no role yet' : role}</span>
        <span class="state-word">{word}</span>
      </span>
      <span class="facts">{facts.join(' · ')}</span>
      <Silence heard={instance} what={name} now={now} />
      {tone !== 'good' && message !== null && <span class="message">{message}</span>}
    </li>
  );
}

function Segment({
  segment,
  cluster,
  now,
  most,
}: {
  readonly segment: SegmentView;
  readonly cluster: string;
  readonly now: number;
  readonly most: number;
}) {
  const { id, role, lagBytes, bytesUsed, diskFree, diskBytes, standsInFor, message } = segment;
  const { tone, word } = segmentState(segment);
  const used = diskFree === null || diskBytes === null || diskBytes === 0 ? null : 1 - diskFree / diskBytes;
  return (
    <li class={`segment tone-${tone}`}>
      <span class="segment-head">
        <Mark tone={tone} />
        <strong>{shortName(id, cluster)}</strong>
        {role === 'TAIL' && <span class="role">{standsInFor === null ? 'tail' : `tail, for ${shortName(standsInFor, cluster)}`}</span>}
        <span class="state-word">{word}</span>
      </span>
      <dl class="measures">
        <div>
          <dt>SCL lag</dt>
          <dd>
            <Bar share={lagBytes === null ? null : lagBytes / most} tone={lagBytes !== null && lagBytes > 16 * 2 ** 20 ? 'warn' : 'good'} />
            <span class="number">{bytes(lagBytes)}</span>
          </dd>
        </div>
        <div>
          <dt>Disk</dt>
          <dd>
            <Bar share={used} tone={used === null || used < 0.8 ? 'plain' : used < 0.95 ? 'warn' : 'bad'} />
            <span class="number">{used === null ? bytes(bytesUsed) : `${bytes(diskFree)} free`}</span>
          </dd>
        </div>
      </dl>
      <Silence heard={segment} what={id} now={now} />
      {tone !== 'good' && message !== null && <span class="message">{message}</span>}
    </li>
  );
}

function Bar({ share, tone }: { readonly share: number | null; readonly tone: Tone | 'plain' }) {
  const percent = share === null ? 0 : Math.round(Math.min(1, Math.max(0, share)) * 1000) / 10;
  return (
    <svg class={`bar bar-${tone}${share === null ? ' is-unknown' : ''}`} width="100%" height="6" aria-hidden="true" focusable="false">
      <rect class="bar-ground" width="100%" height="6" rx="3" />
      {share !== null && <rect class="bar-fill" width={`${percent}%`} height="6" rx="3" />}
    </svg>
  );
}

/** Figures of who does not answer are not shown as if they were of now. */
function Silence({ heard, what, now }: { readonly heard: Heard; readonly what: string; readonly now: number }) {
  if (heard.silentSince === null) return null;
  return (
    <span class="silence">
      {heard.heardAt === null ? `the console has not heard from ${what} yet` : `nothing heard from ${what} for ${age(heard.heardAt, now)}`}
    </span>
  );
}
