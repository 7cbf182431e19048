import { sizeBytes } from '../api/quantity.ts';
import { segmentIds } from '../api/segment-id.ts';
import type { SpecProblem } from '../api/validate.ts';
import type { VolumeClaim } from '../kube/objects.ts';
import type { Observed } from '../observed/observed.ts';

/** What is to be done about the size of a claim, or is being done. */
export type Growth =
  | { readonly kind: 'none' }
  /** Larger than the claim asks for: it is to ask for it. */
  | { readonly kind: 'wanted' }
  /** Larger than the claim asks for, and its class cannot: asking would be refused every time. */
  | { readonly kind: 'impossible'; readonly storageClass: string }
  /** Asked for, and not there yet. */
  | { readonly kind: 'under-way'; readonly from: string; readonly to: string; readonly step: string };

/** What the conditions that resizers put on a claim mean. */
const STEPS: Readonly<Record<string, string>> = {
  Resizing: 'the volume is being resized',
  FileSystemResizePending: 'its node has yet to grow the file system',
  ControllerResizeError: 'resizing the volume failed and is tried again',
  NodeResizeError: 'growing the file system failed and is tried again',
};

export function claimGrowth(observed: Observed, claim: VolumeClaim): Growth {
  const requested = claim.spec.resources.requests.storage;
  const bytes = (size: string): number => sizeBytes(size) ?? 0;
  // A claim without its volume cannot be changed; it grows once it is bound.
  if (claim.status?.phase !== 'Bound') return { kind: 'none' };
  if (bytes(observed.cluster.spec.storage.size) > bytes(requested)) {
    const { storageClassName } = claim.spec;
    const storageClass = observed.storageClasses.find(({ metadata }) => metadata.name === storageClassName);
    // A class that is gone says nothing: the API server will.
    return storageClass !== undefined && storageClass.allowVolumeExpansion !== true
      ? { kind: 'impossible', storageClass: storageClass.metadata.name }
      : { kind: 'wanted' };
  }
  const capacity = claim.status.capacity?.storage;
  if (capacity === undefined || bytes(capacity) >= bytes(requested)) return { kind: 'none' };
  const told = (claim.status.conditions ?? []).find(({ type, status }) => status === 'True' && STEPS[type] !== undefined);
  const words = told?.message === undefined || told.message === '' ? '' : `: ${told.message}`;
  return { kind: 'under-way', from: capacity, to: requested, step: told === undefined ? 'asked for' : `${STEPS[told.type]}${words}` };
}

/** Volumes that grow now, one line each. */
export function growingVolumes(observed: Observed): readonly string[] {
  return segmentIds.flatMap((segment) => {
    const claim = observed.claims.get(segment);
    const growth: Growth = claim === undefined ? { kind: 'none' } : claimGrowth(observed, claim);
    if (claim === undefined || (growth.kind !== 'wanted' && growth.kind !== 'under-way')) return [];
    const { name } = claim.metadata;
    if (growth.kind === 'under-way') return [`${name} from ${growth.from} to ${growth.to} (${growth.step})`];
    return [`${name} from ${claim.spec.resources.requests.storage} to ${observed.cluster.spec.storage.size} (is being asked for)`];
  });
}

/** Sizes that the claims which are there cannot have. */
export function sizeProblems(observed: Observed): readonly SpecProblem[] {
  const { size } = observed.cluster.spec.storage;
  const problem = (message: string): SpecProblem => ({ field: 'spec.storage.size', message, reason: 'FieldIgnored', fatal: false });
  for (const claim of observed.claims.values()) {
    const growth = claimGrowth(observed, claim);
    const requested = claim.spec.resources.requests.storage;
    if (growth.kind === 'impossible') {
      const why = `StorageClass ${growth.storageClass} does not let volumes grow (allowVolumeExpansion)`;
      return [problem(`'${size}' is not reached: ${why}, so the claims stay at ${requested}; allow it in the class`)];
    }
    const [wanted, there] = [sizeBytes(size), sizeBytes(requested)];
    if (wanted !== undefined && there !== undefined && wanted < there)
      return [
        problem(`'${size}' is less than the claims that are there have and is ignored: volumes never shrink; use ${requested} or more`),
      ];
  }
  return [];
}
