import type { Container, EnvVar, Pod } from '../kinds.ts';
import { objectAt, stringAt, type KubeObject } from '../store/object.ts';

/** Reads Secrets and ConfigMaps of the pod's namespace. */
export interface References {
  secret(name: string): KubeObject | undefined;
  configMap(name: string): KubeObject | undefined;
}

/** What a container cannot start without; shown as its waiting message. */
export class ContainerConfigError extends Error {}

/** A pod's field for the downward API, by its path such as `metadata.labels['app']`. */
export function podField(pod: Pod, path: string): string {
  const keyed = /^metadata\.(labels|annotations)\['([^']+)'\]$/.exec(path);
  if (keyed !== null) return (keyed[1] === 'labels' ? pod.metadata.labels : pod.metadata.annotations)?.[keyed[2] ?? ''] ?? '';
  const all = (map: { [key: string]: string } = {}): string =>
    Object.entries(map)
      .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
      .join('\n');
  switch (path) {
    case 'metadata.name':
      return pod.metadata.name;
    case 'metadata.namespace':
      return pod.metadata.namespace ?? '';
    case 'metadata.uid':
      return pod.metadata.uid ?? '';
    case 'metadata.labels':
      return all(pod.metadata.labels);
    case 'metadata.annotations':
      return all(pod.metadata.annotations);
    case 'spec.nodeName':
      return pod.spec.nodeName ?? '';
    case 'spec.serviceAccountName':
      return pod.spec.serviceAccountName ?? 'default';
    case 'status.podIP':
    case 'status.podIPs':
      return pod.status?.podIP ?? '';
    case 'status.hostIP':
    case 'status.hostIPs':
      return '127.0.0.1';
    default:
      throw new ContainerConfigError(`fieldRef '${path}' is not supported`);
  }
}

export function secretBytes(secret: KubeObject, key: string): Buffer | undefined {
  const value = stringAt(secret, 'data', key);
  return value === undefined ? undefined : Buffer.from(value, 'base64');
}

export function configMapBytes(map: KubeObject, key: string): Buffer | undefined {
  const text = stringAt(map, 'data', key);
  if (text !== undefined) return Buffer.from(text);
  const binary = stringAt(map, 'binaryData', key);
  return binary === undefined ? undefined : Buffer.from(binary, 'base64');
}

/**
 * The variables of a container in order, envFrom first, with `$(NAME)` expanded. Throws ContainerConfigError that names
 * what is missing.
 */
export function containerEnvironment(pod: Pod, container: Container, references: References): { [name: string]: string } {
  const env: { [name: string]: string } = {};
  for (const source of container.envFrom ?? []) {
    const reference = source.secretRef ?? source.configMapRef;
    const name = reference?.name ?? '';
    const object = source.secretRef === undefined ? references.configMap(name) : references.secret(name);
    if (object === undefined) {
      if (reference?.optional === true) continue;
      throw new ContainerConfigError(`${source.secretRef === undefined ? 'configmap' : 'secret'} "${name}" not found`);
    }
    for (const key of Object.keys(objectAt(object, 'data'))) {
      env[`${source.prefix ?? ''}${key}`] =
        (source.secretRef === undefined ? configMapBytes(object, key) : secretBytes(object, key))?.toString() ?? '';
    }
  }
  for (const variable of container.env ?? []) {
    const value = variableValue(pod, variable, references);
    if (value !== undefined) env[variable.name] = expand(value, env);
  }
  return env;
}

function variableValue(pod: Pod, variable: EnvVar, references: References): string | undefined {
  const { fieldRef, secretKeyRef, configMapKeyRef, resourceFieldRef } = variable.valueFrom ?? {};
  if (fieldRef !== undefined) return podField(pod, fieldRef.fieldPath);
  if (resourceFieldRef !== undefined) return '';
  const reference = secretKeyRef ?? configMapKeyRef;
  if (reference === undefined) return variable.value ?? '';
  const kind = secretKeyRef === undefined ? 'configmap' : 'secret';
  const name = reference.name ?? '';
  const object = secretKeyRef === undefined ? references.configMap(name) : references.secret(name);
  if (object === undefined) {
    if (reference.optional === true) return undefined;
    throw new ContainerConfigError(`${kind} "${name}" not found`);
  }
  const bytes = secretKeyRef === undefined ? configMapBytes(object, reference.key) : secretBytes(object, reference.key);
  if (bytes === undefined && reference.optional !== true)
    throw new ContainerConfigError(`couldn't find key ${reference.key} in ${kind} ${name}`);
  return bytes?.toString();
}

/** `$(NAME)` becomes the variable's value, `$$(NAME)` stays `$(NAME)`, and what is unknown stays as it is. */
export function expand(text: string, env: { readonly [name: string]: string }): string {
  return text.replaceAll(/\$\$|\$\(([^)]+)\)/g, (whole, name: string | undefined) => (name === undefined ? '$' : (env[name] ?? whole)));
}

/** A mount: where the container thinks it is, and where it is on this machine. */
export interface MountedPath {
  readonly mountPath: string;
  readonly hostPath: string;
}

/**
 * Pods share this machine's files, so nothing can be mounted at absolute paths: a text that begins with a mount path
 * (or has one right after `=`, as flags do) gets the host's directory in its place. The longest mount path wins.
 */
export function rewriteMounts(text: string, mounts: readonly MountedPath[]): string {
  const equals = text.indexOf('=');
  const rewritten = rewriteStart(text, mounts);
  if (rewritten !== text || equals < 0 || !text.startsWith('-')) return rewritten;
  return `${text.slice(0, equals + 1)}${rewriteStart(text.slice(equals + 1), mounts)}`;
}

function rewriteStart(text: string, mounts: readonly MountedPath[]): string {
  for (const { mountPath, hostPath } of mounts.toSorted((a, b) => b.mountPath.length - a.mountPath.length)) {
    const plain = mountPath.replace(/\/+$/, '');
    if (text === plain || text.startsWith(`${plain}/`)) return `${hostPath}${text.slice(plain.length)}`;
  }
  return text;
}
