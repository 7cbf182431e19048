import { createHash } from 'node:crypto';
import { numberAt, objectAt, stringAt, type Json, type JsonObject, type KubeObject } from '../store/object.ts';

/** One ReplicaSet of a Deployment, as a rollout sees it. */
export interface RolloutPart {
  readonly name: string;
  /** How many pods it is asked for. */
  readonly wanted: number;
  /** How many pods it has. */
  readonly pods: number;
  readonly available: number;
}

export interface RolloutGoal {
  readonly replicas: number;
  readonly maxSurge: number;
  readonly maxUnavailable: number;
  readonly recreate: boolean;
}

/**
 * Of a Deployment's spec; percentages of surge are rounded up, of unavailability down. Never both zero: nothing could
 * move.
 */
export function rolloutGoal(deployment: KubeObject): RolloutGoal {
  const replicas = numberAt(deployment, 'spec', 'replicas') ?? 1;
  const rolling = objectAt(deployment, 'spec', 'strategy', 'rollingUpdate');
  const maxSurge = portion(rolling['maxSurge'] ?? '25%', replicas, Math.ceil);
  const maxUnavailable = portion(rolling['maxUnavailable'] ?? '25%', replicas, Math.floor);
  return {
    replicas,
    maxSurge,
    maxUnavailable: maxSurge === 0 && maxUnavailable === 0 ? 1 : Math.min(maxUnavailable, replicas),
    recreate: stringAt(deployment, 'spec', 'strategy', 'type') === 'Recreate',
  };
}

function portion(value: Json, of: number, round: (part: number) => number): number {
  const percent = typeof value === 'string' ? /^(\d+)%$/.exec(value)?.[1] : undefined;
  return percent === undefined ? Number(value) : round((Number(percent) / 100) * of);
}

/**
 * The next step of a rollout: how many pods each ReplicaSet is asked for, oldest first, the current one last. Never
 * more than replicas + maxSurge pods in all, never fewer than replicas - maxUnavailable available ones by what the step
 * takes away; pods that are not available anyway go first. Pure.
 * https://kubernetes.io/docs/concepts/workloads/controllers/deployment/
 */
export function rolloutStep(goal: RolloutGoal, old: readonly RolloutPart[], current: RolloutPart): Map<string, number> {
  const wanted = new Map([...old, current].map((part) => [part.name, part.wanted]));
  const total = (): number => [...wanted.values()].reduce((sum, count) => sum + count, 0);
  const olds = old.reduce((sum, part) => sum + part.wanted, 0);
  if (goal.recreate) {
    for (const part of old) wanted.set(part.name, 0);
    const left = old.some((part) => part.wanted > 0 || part.pods > 0);
    wanted.set(current.name, left ? Math.min(current.wanted, goal.replicas) : goal.replicas);
    return wanted;
  }
  if (olds === 0 || current.wanted > goal.replicas) wanted.set(current.name, goal.replicas);
  else {
    const room = goal.replicas + goal.maxSurge - total();
    wanted.set(current.name, current.wanted + Math.max(0, Math.min(room, goal.replicas - current.wanted)));
  }
  const mustStay = goal.replicas - goal.maxUnavailable;
  // What the current ReplicaSet has not made available yet is counted as still to come.
  let mayGo = total() - mustStay - ((wanted.get(current.name) ?? 0) - current.available);
  for (const part of old) {
    const broken = Math.max(0, Math.min(part.wanted - part.available, mayGo));
    wanted.set(part.name, part.wanted - broken);
    mayGo -= broken;
  }
  let spare = [...old, current].reduce((sum, part) => sum + part.available, 0) - mustStay;
  for (const part of old) {
    const now = wanted.get(part.name) ?? 0;
    const gone = Math.max(0, Math.min(now, spare, mayGo));
    wanted.set(part.name, now - gone);
    spare -= gone;
    mayGo -= gone;
  }
  return wanted;
}

const HASH_LETTERS = 'bcdfghjklmnpqrstvwxz2456789';

/**
 * A short name for a pod template: the same for the same template, whatever the order of its keys; null is as good as
 * absent.
 */
export function templateHash(template: Json | undefined): string {
  const digest = createHash('sha256')
    .update(JSON.stringify(sorted(template)))
    .digest();
  return [...digest.subarray(0, 10)].map((byte) => HASH_LETTERS[byte % HASH_LETTERS.length]).join('');
}

function sorted(value: Json | undefined): Json {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value ?? null;
  const keys = Object.keys(value as JsonObject).toSorted();
  return Object.fromEntries(keys.filter((key) => value[key] !== undefined && value[key] !== null).map((key) => [key, sorted(value[key])]));
}
