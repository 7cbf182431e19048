import { ApplyConflict, serverSideApply } from '../patch/server-side-apply.ts';
import { trackUpdate } from '../patch/managed-fields.ts';
import { applyDefaults, pruneUnknown, validate, validateCustom } from '../schema/validate.ts';
import { isObject, jsonEqual, type Json, type KubeObject, type ObjectMeta } from '../store/object.ts';
import type { Store } from '../store/store.ts';
import { ApiError, refuse } from './errors.ts';
import type { Cause } from '../schema/cause.ts';
import { fromStored, toStored } from './events-conversion.ts';
import { generatedName, instant, keptMetadata, metadataCauses } from './metadata.ts';
import { apiVersionOf, ResourceCatalog, type Resource } from './resources.ts';
import { strategyOf } from './strategies.ts';
import type { StrategyContext } from './strategy.ts';
import { clusterIpAllocator } from '../network/cluster-ip.ts';
import { removeObject, type DeleteOptions, type Removal } from './removal.ts';

export interface WriteContext {
  /** Field manager of the write. */
  readonly manager: string;
  readonly subresource?: string | undefined;
  readonly fieldValidation?: 'Strict' | 'Warn' | 'Ignore';
  readonly dryRun?: boolean;
  /** Filled with what the client should be told. */
  readonly warnings?: string[];
}

export interface RegistryOptions {
  readonly now?: () => number;
  readonly random?: () => number;
  readonly uid?: () => string;
  /** Services get addresses that begin with this; default `127.96.`. */
  readonly servicePrefix?: string;
}

/**
 * The one way in which objects are made, changed and removed, for clients and controllers alike: strict decoding,
 * defaults, validation, field management, generations, finalizers. Everything is synchronous: a write sees the store as
 * it is.
 */
export class Registry {
  readonly store: Store;
  readonly catalog: ResourceCatalog;
  readonly now: () => number;
  readonly #random: () => number;
  readonly #uid: () => string;
  readonly #servicePrefix: string;

  constructor(store: Store, options: RegistryOptions = {}) {
    this.store = store;
    this.catalog = new ResourceCatalog(store);
    this.now = options.now ?? Date.now;
    this.#random = options.random ?? Math.random;
    this.#uid = options.uid ?? (() => crypto.randomUUID());
    this.#servicePrefix = options.servicePrefix ?? '127.96.';
  }

  get(resource: Resource, namespace: string | undefined, name: string): KubeObject {
    const object = this.store.get(resource.storage, namespace, name);
    if (object === undefined) throw refuse.notFound(resource.group, resource.plural, name);
    return fromStored(object, resource);
  }

  create(resource: Resource, namespace: string | undefined, given: KubeObject, context: WriteContext): KubeObject {
    const decoded = toStored(this.#decode(resource, given, context), resource);
    const metadata: ObjectMeta = { ...decoded.metadata };
    if (metadata.name === '' && metadata.generateName !== undefined) metadata.name = generatedName(metadata.generateName, this.#random);
    if (metadata.name === '')
      throw refuse.invalid(resource.group, resource.kind, '', [
        { reason: 'FieldValueRequired', field: 'metadata.name', message: 'Required value: name or generateName is required' },
      ]);
    if (metadata.resourceVersion !== undefined && metadata.resourceVersion !== '')
      throw refuse.badRequest('resourceVersion should not be set on objects to be created');
    this.#placeIn(resource, namespace, metadata);
    if (this.store.get(resource.storage, metadata.namespace, metadata.name) !== undefined)
      throw refuse.alreadyExists(resource.group, resource.plural, metadata.name);
    const fresh: KubeObject = { ...decoded, metadata: this.#bornMetadata(metadata) };
    if (resource.subresources.has('status') && !this.#isController(context)) delete fresh['status'];
    return this.#finish(resource, fresh, undefined, context, true);
  }

  update(resource: Resource, namespace: string | undefined, name: string, given: KubeObject, context: WriteContext): KubeObject {
    const live = this.store.get(resource.storage, namespace, name);
    if (live === undefined) throw refuse.notFound(resource.group, resource.plural, name);
    const decoded = toStored(this.#decode(resource, given, context), resource);
    if (decoded.metadata.name !== '' && decoded.metadata.name !== name)
      throw refuse.badRequest(`the name of the object (${decoded.metadata.name}) does not match the name on the URL (${name})`);
    const { resourceVersion, uid } = decoded.metadata;
    if (resourceVersion !== undefined && resourceVersion !== '' && resourceVersion !== live.metadata.resourceVersion)
      throw refuse.stale(resource.group, resource.plural, name);
    if (uid !== undefined && uid !== live.metadata.uid)
      throw refuse.conflict(
        resource.group,
        resource.plural,
        name,
        `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${live.metadata.uid ?? ''}`,
      );
    return this.#finish(resource, this.#through(resource, decoded, live, context.subresource), live, context, true);
  }

  /** Changes an object by a function of what it is now. */
  change(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    change: (live: KubeObject) => KubeObject,
    context: WriteContext,
  ): KubeObject {
    return this.update(resource, namespace, name, change(this.get(resource, namespace, name)), context);
  }

  apply(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    given: KubeObject,
    force: boolean,
    context: WriteContext,
  ): KubeObject {
    const live = this.store.get(resource.storage, namespace, name);
    const decoded = toStored(this.#decode(resource, given, context), resource);
    if (decoded.metadata.managedFields !== undefined && decoded.metadata.managedFields.length > 0)
      throw refuse.badRequest('metadata.managedFields must be nil');
    const metadata: ObjectMeta = { ...decoded.metadata, name };
    if (live === undefined) {
      if (context.subresource !== undefined) throw refuse.notFound(resource.group, resource.plural, name);
      this.#placeIn(resource, namespace, metadata);
    } else if (metadata.resourceVersion !== undefined && metadata.resourceVersion !== live.metadata.resourceVersion)
      throw refuse.stale(resource.group, resource.plural, name);
    const statusSeparate = resource.subresources.has('status');
    try {
      const merged = serverSideApply({
        live,
        applied: { ...decoded, metadata },
        manager: { name: context.manager, operation: 'Apply', subresource: context.subresource },
        force,
        schema: resource.schema,
        statusSeparate,
        time: instant(this.now()),
      });
      const whole: KubeObject =
        live === undefined
          ? { ...merged, metadata: this.#bornMetadata(merged.metadata) }
          : this.#through(resource, merged, live, context.subresource);
      if (live === undefined && statusSeparate) delete whole['status'];
      return this.#finish(resource, whole, live, context, false);
    } catch (error) {
      if (error instanceof ApplyConflict)
        throw new ApiError(409, 'Conflict', error.message, { name, group: resource.group, kind: resource.plural, causes: error.causes });
      throw error;
    }
  }

  remove(resource: Resource, namespace: string | undefined, name: string, options: DeleteOptions = {}): Removal {
    return removeObject(this.store, resource, namespace, name, options, this.now());
  }

  /** The address that a client or controller asks for, given the Services that exist. */
  #strategyContext(): StrategyContext {
    return { allocateClusterIp: clusterIpAllocator(this.store, this.#servicePrefix), nowIso: instant(this.now()) };
  }

  #isController(context: WriteContext): boolean {
    return context.subresource === 'status';
  }

  /** Unknown fields are refused, told or dropped, as the client asked; kind and version must be the resource's. */
  #decode(resource: Resource, given: KubeObject, context: WriteContext): KubeObject {
    const wanted = apiVersionOf(resource);
    if (given.apiVersion !== wanted || given.kind !== resource.kind)
      throw refuse.badRequest(`the object is ${given.apiVersion}, Kind=${given.kind}, but the URL is for ${wanted}, Kind=${resource.kind}`);
    const unknown: string[] = [];
    const pruned = pruneUnknown(given, resource.schema, unknown);
    if (!isObject(pruned)) throw refuse.badRequest('the body is not an object');
    const told = unknown.map((field) => `unknown field "${field}"`);
    if (told.length > 0 && context.fieldValidation === 'Strict')
      throw refuse.badRequest(
        `${resource.kind} in version "${resource.version}" cannot be handled as a ${resource.kind}: strict decoding error: ${told.join(', ')}`,
      );
    if (context.fieldValidation !== 'Ignore') context.warnings?.push(...told);
    const metadata = given.metadata as Json | undefined;
    return {
      ...pruned,
      apiVersion: wanted,
      kind: resource.kind,
      metadata: {
        ...(isObject(pruned['metadata']) ? pruned['metadata'] : {}),
        name: isObject(metadata) && typeof metadata['name'] === 'string' ? metadata['name'] : '',
      },
    };
  }

  #placeIn(resource: Resource, namespace: string | undefined, metadata: ObjectMeta): void {
    if (!resource.namespaced) {
      delete metadata.namespace;
      return;
    }
    const wanted = namespace ?? 'default';
    if (metadata.namespace !== undefined && metadata.namespace !== '' && metadata.namespace !== wanted)
      throw refuse.badRequest(`the namespace of the provided object does not match the namespace sent on the request`);
    metadata.namespace = wanted;
    const home = this.store.get('namespaces', undefined, wanted);
    if (home === undefined) throw refuse.notFound('', 'namespaces', wanted);
    if (home.metadata.deletionTimestamp !== undefined)
      throw refuse.forbidden(
        resource.group,
        resource.plural,
        metadata.name,
        `unable to create new content in namespace ${wanted} because it is being terminated`,
      );
  }

  #bornMetadata(given: ObjectMeta): ObjectMeta {
    const {
      resourceVersion: _version,
      deletionTimestamp: _deleted,
      deletionGracePeriodSeconds: _grace,
      generation: _generation,
      ...metadata
    } = given;
    return { ...metadata, uid: this.#uid(), creationTimestamp: instant(this.now()) };
  }

  /** What a write through a subresource may change: status changes only status, the main resource everything but. */
  #through(resource: Resource, given: KubeObject, live: KubeObject, subresource: string | undefined): KubeObject {
    const metadata = keptMetadata(given.metadata, live.metadata);
    if (subresource === 'status') {
      const managedFields = given.metadata.managedFields;
      return {
        ...live,
        status: given['status'],
        metadata: { ...live.metadata, ...(managedFields === undefined ? {} : { managedFields }) },
      };
    }
    return resource.subresources.has('status') ? { ...given, metadata, status: live['status'] } : { ...given, metadata };
  }

  #finish(resource: Resource, given: KubeObject, live: KubeObject | undefined, context: WriteContext, track: boolean): KubeObject {
    const schema = resource.storage === 'events' ? this.catalog.byStorage('events')?.schema : resource.schema;
    const full = schema === undefined ? given : (applyDefaults(given, schema) as KubeObject);
    const strategy = strategyOf(resource.storage);
    const prepared = strategy.prepare?.(full, live, this.#strategyContext()) ?? full;
    const causes: Cause[] = [
      ...metadataCauses(prepared, resource.storage),
      ...(schema === undefined
        ? []
        : schema.definition === undefined
          ? validateCustom(prepared, schema, live)
          : validate(prepared, schema)),
      ...(strategy.causes?.(prepared, live) ?? []),
    ];
    if (causes.length > 0) throw refuse.invalid(resource.group, resource.kind, prepared.metadata.name, causes);
    const metadata = withoutEmpty(prepared.metadata);
    const done: KubeObject = { ...prepared, metadata };
    const comparable = (object: KubeObject): KubeObject => ({
      ...object,
      apiVersion: '',
      metadata: { ...object.metadata, managedFields: [] },
    });
    if (
      live !== undefined &&
      jsonEqual(comparable(done), comparable(live)) &&
      (track || jsonEqual(done.metadata.managedFields, live.metadata.managedFields))
    )
      if (!track || jsonEqual(given.metadata.managedFields, live.metadata.managedFields) || given.metadata.managedFields === undefined)
        return fromStored(live, resource);
    if (prepared['spec'] !== undefined && !WITHOUT_GENERATION.has(resource.storage) && !jsonEqual(prepared['spec'], live?.['spec']))
      metadata.generation = (live?.metadata.generation ?? 0) + 1;
    if (track) {
      // A client that sends no managedFields leaves them as they are; an explicit list replaces them.
      const carried: KubeObject = {
        ...done,
        metadata: { ...metadata, managedFields: given.metadata.managedFields ?? live?.metadata.managedFields ?? [] },
      };
      const manager = { name: context.manager, operation: 'Update' as const, subresource: context.subresource };
      const entries = trackUpdate(live, carried, manager, schema, resource.subresources.has('status'), instant(this.now()));
      if (entries === undefined) delete metadata.managedFields;
      else metadata.managedFields = entries;
    }
    if (context.dryRun === true)
      return fromStored({ ...done, metadata: { ...metadata, resourceVersion: live?.metadata.resourceVersion ?? '' } }, resource);
    const released = metadata.deletionTimestamp !== undefined && (metadata.finalizers ?? []).length === 0;
    const held =
      (resource.storage === 'pods' && metadata.deletionGracePeriodSeconds !== 0) ||
      (resource.storage === 'namespaces' && isHeldNamespace(done));
    const kept = this.store.put(resource.storage, done);
    if (released && !held) this.store.delete(resource.storage, metadata.namespace, metadata.name);
    return fromStored(kept, resource);
  }
}

/** Kinds whose changes of spec Kubernetes does not count. */
const WITHOUT_GENERATION = new Set([
  'services',
  'nodes',
  'namespaces',
  'persistentvolumes',
  'persistentvolumeclaims',
  'coordination.k8s.io/leases',
]);

/** Empty maps and lists of metadata are as good as none, and are shown as none. */
function withoutEmpty(given: ObjectMeta): ObjectMeta {
  const metadata: ObjectMeta = { ...given };
  for (const key of ['labels', 'annotations', 'ownerReferences', 'finalizers'] as const)
    if (Object.keys(metadata[key] ?? {}).length === 0) delete metadata[key];
  return metadata;
}

/** A namespace stays until its own finalizer, in its spec, is gone too. */
function isHeldNamespace(object: KubeObject): boolean {
  const spec = object['spec'];
  return isObject(spec) && Array.isArray(spec['finalizers']) && spec['finalizers'].length > 0;
}
