import type { ConditionReason } from '../api/conditions.ts';
import type { Authority, ProgramRole, RotationStep } from '@kube-aurora/identity';
import type { LeafNames, ToldMode } from '../certificates/leaf-secret.ts';
import type { KubeObject, Pod, Secret, Service, VolumeClaim } from '../kube/objects.ts';
import type { Applied, Resource } from '../kube/resources.ts';
import type { Credentials } from '../specs/secrets.ts';
import type { PodMarks } from './inherited-marks.ts';

/** Something a person would want to know, as an Event on the cluster. */
export interface Notice {
  readonly type: 'Normal' | 'Warning';
  /** CamelCase. */
  readonly reason: string;
  readonly message: string;
}

/**
 * What a reconcile does to the world. Decided purely, done by the shell, each on its own: one refusal stops no other.
 */
export type Action =
  | {
      readonly kind: 'apply';
      readonly resource: Resource<Applied>;
      readonly object: KubeObject;
      readonly live: KubeObject | undefined;
      /** False: the cluster works without it, should its name be taken. */
      readonly blocking?: false;
      readonly notice?: Notice;
    }
  | { readonly kind: 'create-pod'; readonly pod: Pod; readonly notice?: Notice }
  | {
      readonly kind: 'delete-pod';
      readonly pod: Pod;
      readonly why: string;
      readonly gracePeriodSeconds?: number;
      readonly avoidZone?: string;
      readonly notice?: Notice;
    }
  | { readonly kind: 'delete-service'; readonly service: Service; readonly why: string; readonly notice?: Notice }
  | { readonly kind: 'delete-claim'; readonly claim: VolumeClaim; readonly why: string; readonly notice?: Notice }
  | ({ readonly kind: 'mark-pod'; readonly pod: Pod; readonly notice?: Notice } & PodMarks)
  /** Asks an instance's agent to take the writer's place, for the switchover that began then. */
  | { readonly kind: 'ask-promotion'; readonly pod: Pod; readonly startedAt: string }
  /** From the cluster, where it still says that. */
  | { readonly kind: 'remove-annotation'; readonly annotation: string; readonly value: string }
  /** Puts our finalizer on the cluster, or takes it off. */
  | { readonly kind: 'hold-cluster' }
  | { readonly kind: 'release-cluster' }
  /** Makes the Secret of the cluster's authority: of a new one, or of the one that is given. */
  | {
      readonly kind: 'create-authority';
      readonly given: Authority | undefined;
      readonly asked: string | undefined;
      readonly notice?: Notice;
    }
  /** A step of a rotation. */
  | {
      readonly kind: 'step-authority';
      readonly step: Exclude<RotationStep, { readonly kind: 'none' | 'wait' }>;
      readonly asked: string | undefined;
      readonly live: Secret;
      readonly notice?: Notice;
    }
  /** A new certificate for the programs of a role, by the authority that issues. */
  | {
      readonly kind: 'issue-certificate';
      readonly role: ProgramRole;
      readonly names: LeafNames;
      readonly mode: ToldMode;
      readonly live: Secret | undefined;
      readonly why: string;
      readonly notice?: Notice;
    }
  /** A new token of who may review tokens, for a cluster's computes. */
  | { readonly kind: 'issue-review-token'; readonly live: Secret | undefined; readonly why: string; readonly notice?: Notice }
  | { readonly kind: 'create-secret'; readonly credentials: Credentials; readonly serverCa: string | undefined; readonly notice?: Notice };

/** Why something is not done, for the conditions. */
export interface Obstacle {
  readonly reason: ConditionReason;
  readonly message: string;
  /** True: a person must decide before anything goes on. */
  readonly blocking: boolean;
}

export interface Plan {
  readonly actions: readonly Action[];
  readonly obstacles: readonly Obstacle[];
  /** Pods that wait to be replaced because their spec changed. */
  readonly outdated: readonly string[];
  /** Look again after this long although nothing may have changed. */
  readonly againInMs?: number;
}

export const EMPTY_PLAN: Plan = { actions: [], obstacles: [], outdated: [] };

export function joinPlans(plans: readonly Plan[]): Plan {
  const waits = plans.flatMap((plan) => (plan.againInMs === undefined ? [] : [plan.againInMs]));
  return {
    actions: plans.flatMap((plan) => plan.actions),
    obstacles: plans.flatMap((plan) => plan.obstacles),
    outdated: plans.flatMap((plan) => plan.outdated),
    ...(waits.length === 0 ? {} : { againInMs: Math.min(...waits) }),
  };
}
