import type { ConditionReason } from './conditions.ts';
import {
  DRAIN_TIMEOUT_MAX,
  FAILOVER_AFTER_MAX,
  FAILOVER_AFTER_MIN,
  PROMOTION_TIER_MAX,
  STAND_IN_AFTER_SECONDS_MAX,
  SWITCHOVER_DRAIN_MAX,
  WARM_PAGES_PER_SECOND_MAX,
} from './defaults.ts';
import { durationMs } from './duration.ts';
import { encryptionProblems } from './encryption-source.ts';
import { hbaLineProblem } from './hba-line.ts';
import { loginProblems } from './logins.ts';
import { RESERVED_ENDPOINTS } from './names.ts';
import { cacheProblems } from './validate-cache.ts';
import { autoscalingProblems } from './validate-autoscaling.ts';
import { splitParameters } from './parameters.ts';
import { placementProblems } from './validate-placement.ts';
import { DAEMON_MEMORY_LIMIT_MIN, quantityValue, SIZE_MAX, SIZE_MIN, sizeBytes } from './quantity.ts';
import { INSTANCES_MAX, type AuroraCluster, type AuroraClusterSpec, type Resources } from './types.ts';

/** One thing in a manifest that cannot be done, with the path of its field and what would be right. */
export interface SpecProblem {
  readonly field: string;
  readonly message: string;
  readonly reason?: ConditionReason;
  /** True: nothing may be made from this spec. False: the field is left out and the rest is done. */
  readonly fatal: boolean;
}

const RESERVED: ReadonlySet<string> = new Set(RESERVED_ENDPOINTS);

/** Of a line that is wrong; it may be long. */
const HBA_LINE_SHOWN = 200;

/** Settings travel to the agent in one environment variable, which Linux bounds at 128 KiB. */
const PARAMETERS_BYTES_MAX = 100_000;

/**
 * What the schema cannot say, or what an API server that knew an older schema let through. Pure; the order is the
 * manifest's.
 */
export function validateCluster(cluster: AuroraCluster): readonly SpecProblem[] {
  const { spec } = cluster;
  const problems: SpecProblem[] = [];
  const fatal = (field: string, message: string): void => void problems.push({ field, message, fatal: true });
  const { name } = cluster.metadata;
  if (!/^[a-z]([-a-z0-9]*[a-z0-9])?$/.test(name) || name.length > 40) {
    fatal('metadata.name', `'${name}' must be at most 40 lower case letters, digits and '-', starting with a letter: Services carry it`);
  }
  if (spec.postgresVersion !== '18') fatal('spec.postgresVersion', `'${String(spec.postgresVersion)}' is not supported; use "18"`);
  if (!Number.isInteger(spec.instances) || spec.instances < 1 || spec.instances > INSTANCES_MAX)
    fatal(
      'spec.instances',
      `${spec.instances} cannot be: there is one writer and at most ${INSTANCES_MAX - 1} readers; use 1 to ${INSTANCES_MAX}`,
    );
  if (durationMs(spec.readers.maxLag) === undefined)
    fatal('spec.readers.maxLag', `'${spec.readers.maxLag}' is not a duration; use for example 500ms, 30s or 2m`);
  if (durationMs(spec.readers.drainTimeout) === undefined)
    fatal('spec.readers.drainTimeout', `'${spec.readers.drainTimeout}' is not a duration; use for example 30s or 5m`);
  else if ((durationMs(spec.readers.drainTimeout) ?? 0) > (durationMs(DRAIN_TIMEOUT_MAX) ?? 0))
    fatal(
      'spec.readers.drainTimeout',
      `'${spec.readers.drainTimeout}' is too long for a reader that is to be no more; use at most ${DRAIN_TIMEOUT_MAX}`,
    );
  for (const [field, message] of autoscalingProblems(spec)) fatal(field, message);
  for (const message of failoverProblems(spec.failover.after)) fatal('spec.failover.after', message);
  for (const message of drainProblems(spec.failover.switchoverDrain)) fatal('spec.failover.switchoverDrain', message);
  const { pagesPerSecond } = spec.failover.warmCache;
  if (!isWholeWithin(pagesPerSecond, 1, WARM_PAGES_PER_SECOND_MAX))
    fatal(
      'spec.failover.warmCache.pagesPerSecond',
      `${pagesPerSecond} is no number of pages; use 1 to ${WARM_PAGES_PER_SECOND_MAX}, or enabled: false for none`,
    );
  for (const [field, message] of overrideProblems(spec)) fatal(field, message);
  for (const [index, { name: endpoint, instances, excludedInstances }] of spec.endpoints.entries()) {
    if (instances !== undefined && excludedInstances !== undefined)
      fatal(`spec.endpoints[${index}]`, 'names who is in it and who is not; use instances or excludedInstances');
    if (RESERVED.has(endpoint))
      fatal(`spec.endpoints[${index}].name`, `'${endpoint}' is a Service that every cluster has; choose another name`);
    if (spec.endpoints.findIndex((other) => other.name === endpoint) !== index)
      fatal(`spec.endpoints[${index}].name`, `'${endpoint}' is there twice`);
  }
  const bytes = sizeBytes(spec.storage.size);
  if (bytes === undefined) fatal('spec.storage.size', `'${spec.storage.size}' is not a size; use for example 10Gi`);
  else if (bytes < (sizeBytes(SIZE_MIN) ?? 0))
    fatal('spec.storage.size', `'${spec.storage.size}' is too small for a redo log and a database; use at least ${SIZE_MIN}`);
  else if (bytes > (sizeBytes(SIZE_MAX) ?? 0))
    fatal('spec.storage.size', `'${spec.storage.size}' is larger than any volume; use at most ${SIZE_MAX}`);
  for (const [field, message] of [
    ...resourceProblems('spec.storage.resources', spec.storage.resources),
    ...daemonMemoryProblems(spec.storage.resources),
    ...resourceProblems('spec.compute.resources', spec.compute.resources),
  ])
    fatal(field, message);
  for (const [field, message] of cacheProblems(spec)) fatal(field, message);
  for (const [field, message] of placementProblems(spec)) fatal(field, message);
  if (spec.storage.zones.length !== 3 || new Set(spec.storage.zones).size !== 3) {
    fatal('spec.storage.zones', `[${spec.storage.zones.join(', ')}] must be three different zones: two of the six copies stand in each`);
  }
  for (const [field, message] of encryptionProblems(spec.storage.encryption)) fatal(field, message);
  const { standInAfterSeconds } = spec.storage;
  if (!Number.isInteger(standInAfterSeconds) || standInAfterSeconds < 0 || standInAfterSeconds > STAND_IN_AFTER_SECONDS_MAX)
    fatal(
      'spec.storage.standInAfterSeconds',
      `${standInAfterSeconds} is not a whole number of seconds from 0 (never) to ${STAND_IN_AFTER_SECONDS_MAX}; use for example 600`,
    );
  const { database, owner } = spec.bootstrap.initdb;
  if (database === 'template0' || database === 'template1')
    fatal('spec.bootstrap.initdb.database', `'${database}' is one of PostgreSQL's own; choose another name`);
  if (owner === 'postgres' || owner.startsWith('pg_'))
    fatal('spec.bootstrap.initdb.owner', `'${owner}' is one of PostgreSQL's own; choose another name`);
  if (Buffer.byteLength(JSON.stringify(spec.postgresql.parameters)) > PARAMETERS_BYTES_MAX)
    fatal('spec.postgresql.parameters', `are longer than ${PARAMETERS_BYTES_MAX} bytes together; shorten them`);
  for (const [index, line] of spec.postgresql.pg_hba.entries()) {
    const problem = hbaLineProblem(line);
    if (problem !== undefined) fatal(`spec.postgresql.pg_hba[${index}]`, `'${line.slice(0, HBA_LINE_SHOWN)}' ${problem}`);
  }
  for (const [field, message] of loginProblems(cluster)) fatal(field, message);
  for (const { name: parameter, why } of splitParameters(spec.postgresql.parameters).refused) {
    problems.push({
      field: `spec.postgresql.parameters.${parameter}`,
      message: `is left out: ${why}; remove it from the manifest`,
      fatal: false,
    });
  }
  return problems;
}

function* failoverProblems(after: string): Generator<string> {
  const ms = durationMs(after);
  if (ms === undefined) yield `'${after}' is not a duration; use for example 2s or 1500ms`;
  else if (ms < (durationMs(FAILOVER_AFTER_MIN) ?? 0))
    yield `'${after}' is too short: a writer that lives may be silent for half of ${FAILOVER_AFTER_MIN}; use at least ${FAILOVER_AFTER_MIN}`;
  else if (ms > (durationMs(FAILOVER_AFTER_MAX) ?? Infinity))
    yield `'${after}' is too long: nobody would write for all that time; use at most ${FAILOVER_AFTER_MAX}`;
}

function* drainProblems(drain: string): Generator<string> {
  const ms = durationMs(drain);
  if (ms === undefined) yield `'${drain}' is not a duration; use for example 2s, or 1ms to wait for nothing`;
  else if (ms > (durationMs(SWITCHOVER_DRAIN_MAX) ?? Infinity))
    yield `'${drain}' is too long: nobody would begin a transaction for all that time; use at most ${SWITCHOVER_DRAIN_MAX}`;
}

const isWholeWithin = (value: number, min: number, max: number): boolean => Number.isInteger(value) && value >= min && value <= max;

function* overrideProblems({ instanceOverrides }: AuroraClusterSpec): Generator<readonly [string, string]> {
  for (const [index, { instance, promotionTier, resources }] of instanceOverrides.entries()) {
    const field = `spec.instanceOverrides[${index}]`;
    if (!isWholeWithin(instance, 1, INSTANCES_MAX))
      yield [`${field}.instance`, `${instance} is no instance's number; use one from 1 to ${INSTANCES_MAX}: 2 is NAME-2`];
    if (instanceOverrides.findIndex((other) => other.instance === instance) !== index)
      yield [`${field}.instance`, `${instance} is there twice; say all of an instance in one place`];
    if (promotionTier !== undefined && !isWholeWithin(promotionTier, 0, PROMOTION_TIER_MAX))
      yield [`${field}.promotionTier`, `${promotionTier} is no tier; use one from 0, which is first, to ${PROMOTION_TIER_MAX}`];
    yield* resourceProblems(`${field}.resources`, resources);
  }
}

/** As an API server would refuse the pod: quantities that are none or negative, and requests above limits. */
function* resourceProblems(field: string, resources: Resources | undefined): Generator<readonly [string, string]> {
  const { requests = {}, limits = {} } = resources ?? {};
  for (const [list, quantities] of Object.entries({ requests, limits })) {
    for (const [name, quantity] of Object.entries(quantities)) {
      if (!/^(cpu|memory|ephemeral-storage|hugepages-.+|.*\/.*)$/.test(name))
        yield [`${field}.${list}.${name}`, 'is no resource; use cpu, memory, ephemeral-storage, hugepages-SIZE, or DOMAIN/NAME for others'];
      const value = quantityValue(String(quantity));
      if (value === undefined) yield [`${field}.${list}.${name}`, `'${quantity}' is not a quantity; use for example 500m or 2Gi`];
      else if (value < 0) yield [`${field}.${list}.${name}`, `'${quantity}' is negative; use a quantity of at least 0`];
    }
  }
  for (const [name, request] of Object.entries(requests)) {
    const limit = limits[name];
    if (limit !== undefined && (quantityValue(String(request)) ?? 0) > (quantityValue(String(limit)) ?? 0))
      yield [`${field}.requests.${name}`, `'${request}' is above the limit '${limit}'; lower it or raise limits.${name}`];
  }
}

function* daemonMemoryProblems(resources: Resources | undefined): Generator<readonly [string, string]> {
  const limit = resources?.limits?.['memory'];
  const bytes = limit === undefined ? undefined : sizeBytes(String(limit));
  if (bytes !== undefined && bytes < (sizeBytes(DAEMON_MEMORY_LIMIT_MIN) ?? 0))
    yield [
      'spec.storage.resources.limits.memory',
      `'${limit}' is too little for a storage daemon; give at least ${DAEMON_MEMORY_LIMIT_MIN}`,
    ];
}

export function describeProblems(problems: readonly SpecProblem[]): string {
  return problems.map(({ field, message }) => `${field} ${message}`).join('; ');
}
