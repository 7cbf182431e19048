import { ANNOTATION, isReservedKey } from '../api/names.ts';
import type { Labels, Pod } from '../kube/objects.ts';
import { covers, strayMetadata, type StrayMetadata } from '../specs/metadata.ts';

/** Labels and annotations that a pod gets, and those that are taken off it. */
export interface PodMarks {
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly off?: StrayMetadata;
}

/** What a pod should have inherited and what it should not have any more; both change while it runs. */
export function inheritedMarks(pod: Pod, desired: Pod): PodMarks {
  const off = strayMetadata(pod.metadata, desired.metadata);
  const inherited = (entries: Labels = {}): Labels =>
    Object.fromEntries(Object.entries(entries).filter(([key]) => !isReservedKey(key) || key === ANNOTATION.inherited));
  return {
    labels: inherited(desired.metadata.labels),
    annotations: inherited(desired.metadata.annotations),
    ...(off === undefined ? {} : { off }),
  };
}

/** Does a pod carry them already? */
export function isMarked({ metadata }: Pod, { labels, annotations, off }: PodMarks): boolean {
  return off === undefined && covers({ labels: metadata.labels, annotations: metadata.annotations }, { labels, annotations });
}
