import type { ServerResponse } from 'node:http';
import { partialMetadata, table, type IncludeObject } from '../print/table.ts';
import { parseFieldSelector, parseLabelSelector, SelectorError, type Predicate } from '../store/selectors.ts';
import type { Json, JsonObject, KubeObject } from '../store/object.ts';
import type { Change } from '../store/store.ts';
import { ApiError, refuse } from './errors.ts';
import { fromStored } from './events-conversion.ts';
import { checkField, selectedText } from './field-labels.ts';
import type { Registry } from './registry.ts';
import { apiVersionOf, type Resource } from './resources.ts';

export type Form = 'Table' | 'PartialObjectMetadata' | 'object';

export interface Selection {
  readonly resource: Resource;
  readonly namespace: string | undefined;
  readonly matches: Predicate;
}

/** Which objects a list, watch or deletecollection is about. */
export function select(resource: Resource, namespace: string | undefined, name: string | undefined, query: URLSearchParams): Selection {
  try {
    const label = parseLabelSelector(query.get('labelSelector') ?? '');
    const field = parseFieldSelector(query.get('fieldSelector') ?? '', (name) => checkField(resource, name), selectedText);
    // Field selectors speak the resource's own names (`regarding.name`), labels and names are the same everywhere.
    const matches = (object: KubeObject): boolean =>
      (namespace === undefined || object.metadata.namespace === namespace) &&
      (name === undefined || object.metadata.name === name) &&
      label(object) &&
      field(fromStored(object, resource));
    return { resource, namespace, matches };
  } catch (error) {
    if (error instanceof SelectorError) throw refuse.badRequest(error.message);
    throw error;
  }
}

/** One object in the form that was asked for. */
export function present(object: KubeObject, resource: Resource, form: Form, include: IncludeObject, nowMs: number): JsonObject {
  if (form === 'Table')
    return table([object], resource.printer, { resourceVersion: object.metadata.resourceVersion ?? '' }, include, nowMs);
  return form === 'PartialObjectMetadata' ? partialMetadata(object) : object;
}

/** Lists are always whole and current: `limit`, `continue` and old resourceVersions are accepted and not needed. */
export function listObjects(registry: Registry, selection: Selection, form: Form, include: IncludeObject): JsonObject {
  const { resource } = selection;
  const found = registry.store
    .list(resource.storage)
    .filter(selection.matches)
    .map((object) => fromStored(object, resource));
  const metadata: JsonObject = { resourceVersion: String(registry.store.resourceVersion) };
  if (form === 'Table') return table(sorted(found, resource), resource.printer, metadata, include, registry.now());
  const items: Json[] = form === 'PartialObjectMetadata' ? found.map(partialMetadata) : found;
  return form === 'PartialObjectMetadata'
    ? { kind: 'PartialObjectMetadataList', apiVersion: 'meta.k8s.io/v1', metadata, items }
    : { kind: resource.listKind, apiVersion: apiVersionOf(resource), metadata, items };
}

/** Events read best in the order they happened. */
function sorted(objects: KubeObject[], resource: Resource): KubeObject[] {
  if (resource.storage !== 'events') return objects;
  const time = (object: KubeObject): string =>
    String(object['lastTimestamp'] ?? object['eventTime'] ?? object.metadata.creationTimestamp ?? '');
  return objects.toSorted((a, b) => (time(a) < time(b) ? -1 : 1));
}

/** A client that reads so slowly that this much waits for it is cut off; it lists and watches again. */
const BACKLOG_LIMIT_BYTES = 32 * 1024 * 1024;
/** client-node drops a watch that is silent for 30 s. */
const BOOKMARK_EVERY_MS = 20_000;

export interface WatchOptions {
  readonly form: Form;
  readonly include: IncludeObject;
  readonly resourceVersion: string;
  readonly bookmarks: boolean;
  readonly sendInitialEvents: boolean;
  readonly timeoutSeconds: number | undefined;
}

/**
 * Streams changes, one JSON event a line. From version N it sends what came after N; without a version (or from 0)
 * first everything there is as ADDED. A version that the history no longer reaches gets the error 410 and the client
 * lists again.
 */
export function watchObjects(registry: Registry, selection: Selection, options: WatchOptions, response: ServerResponse): void {
  const { store } = registry;
  const { resource } = selection;
  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-cache, private' });
  let headed = false;
  const shape = (object: KubeObject): JsonObject => {
    const shown = fromStored(object, resource);
    if (options.form !== 'Table') return present(shown, resource, options.form, options.include, registry.now());
    const rows = table(
      [shown],
      resource.printer,
      { resourceVersion: shown.metadata.resourceVersion ?? '' },
      options.include,
      registry.now(),
      !headed,
    );
    headed = true;
    return rows;
  };
  const write = (type: string, object: JsonObject): void => {
    if (response.writableLength > BACKLOG_LIMIT_BYTES) response.destroy();
    else response.write(`${JSON.stringify({ type, object })}\n`);
  };
  const send = (change: Change): void => {
    if (change.resource !== resource.storage) return;
    const was = change.previous !== undefined && selection.matches(change.previous);
    const is = change.type !== 'DELETED' && selection.matches(change.object);
    // An object that leaves the selection looks deleted to this watch, one that enters it looks new.
    if (is) write(was ? 'MODIFIED' : 'ADDED', shape(change.object));
    else if (was)
      write(
        'DELETED',
        shape(
          change.type === 'DELETED'
            ? change.object
            : ({ ...change.previous, metadata: { ...change.previous.metadata, resourceVersion: String(change.rv) } } as KubeObject),
        ),
      );
  };
  const bookmark = (annotations?: JsonObject): void =>
    write('BOOKMARK', {
      kind: options.form === 'Table' ? 'Table' : resource.kind,
      apiVersion: options.form === 'Table' ? 'meta.k8s.io/v1' : apiVersionOf(resource),
      metadata: {
        resourceVersion: String(store.resourceVersion),
        creationTimestamp: null,
        ...(annotations === undefined ? {} : { annotations }),
      },
    });

  const from = options.resourceVersion;
  if (from === '' || from === '0' || options.sendInitialEvents) {
    for (const object of store.list(resource.storage).filter(selection.matches)) write('ADDED', shape(object));
    if (options.sendInitialEvents) bookmark({ 'k8s.io/initial-events-end': 'true' });
  } else {
    const asked = Number(from);
    const missed = asked > store.resourceVersion ? undefined : store.changesSince(resource.storage, asked);
    if (missed === undefined) {
      const gone: ApiError = refuse.expired(asked, store.resourceVersion);
      write('ERROR', gone.status());
      response.end();
      return;
    }
    missed.forEach(send);
  }
  response.flushHeaders();
  const unsubscribe = store.subscribe(send);
  const ticking = options.bookmarks ? setInterval(() => bookmark(), BOOKMARK_EVERY_MS) : undefined;
  const limit = options.timeoutSeconds === undefined ? undefined : setTimeout(() => response.end(), options.timeoutSeconds * 1000);
  response.on('close', () => {
    unsubscribe();
    clearInterval(ticking);
    clearTimeout(limit);
  });
}
