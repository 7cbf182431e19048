import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Container, KeyToPath, Pod, ServiceAccountTokenSource, Volume } from '../kinds.ts';
import { podClaims } from '../pod-claims.ts';
import { objectAt, stringAt, type JsonObject, type KubeObject } from '../store/object.ts';
import { configMapBytes, podField, secretBytes, type MountedPath, type References } from './environment.ts';

/** A volume that cannot be had yet; the pod waits and an event says why. */
export class VolumeError extends Error {}

export interface VolumeSources extends References {
  /** Directory of a bound claim; undefined while it is unbound or absent. */
  claimDirectory(name: string): string | undefined;
  /** Of the pod's ServiceAccount; undefined while that is not there. */
  serviceAccountToken(pod: Pod, source: JsonObject): string | undefined;
}

/** Makes the directories of a pod's volumes under `home` and returns them by name. Throws VolumeError. */
export function prepareVolumes(pod: Pod, home: string, sources: VolumeSources): Map<string, string> {
  const directories = new Map<string, string>();
  for (const volume of pod.spec.volumes ?? [])
    directories.set(volume.name, prepareVolume(pod, volume, path.join(home, 'volumes', volume.name), sources));
  return directories;
}

function prepareVolume(pod: Pod, volume: Volume, directory: string, sources: VolumeSources): string {
  const { hostPath, emptyDir } = volume;
  if (hostPath !== undefined) return hostPath.path;
  const claim = podClaims(pod).find((one) => one.volume === volume.name);
  if (claim !== undefined) {
    const home = sources.claimDirectory(claim.claimName);
    if (home === undefined) throw new VolumeError(`persistentvolumeclaim "${claim.claimName}" not found or not bound`);
    return home;
  }
  mkdirSync(path.dirname(directory), { recursive: true, mode: 0o711 });
  if (emptyDir !== undefined) {
    // A container may drop to another user, who must be able to write here.
    mkdirSync(directory, { recursive: true });
    chmodSync(directory, 0o777);
    return directory;
  }
  mkdirSync(directory, { recursive: true, mode: 0o711 });
  writeFiles(volume.name, directory, filesOf(pod, volume, sources));
  return directory;
}

/**
 * Brings what a running pod sees of ConfigMaps, Secrets and its own metadata up to date. A source that is gone leaves
 * its files as they were, as a kubelet does; an optional one leaves none.
 */
export function refreshVolumes(pod: Pod, home: string, sources: VolumeSources): void {
  for (const volume of pod.spec.volumes ?? []) {
    if ([volume.secret, volume.configMap, volume.projected, volume.downwardAPI].every((source) => source === undefined)) continue;
    try {
      writeFiles(volume.name, path.join(home, 'volumes', volume.name), filesOf(pod, volume, sources));
    } catch (error) {
      if (!(error instanceof VolumeError)) throw error;
    }
  }
}

/**
 * Makes the directory hold these files and no others. Each is replaced whole: a reader sees the old one or the new one.
 */
function writeFiles(volume: string, directory: string, files: readonly VolumeFile[]): void {
  const wanted = new Map(files.map((file) => [path.join(directory, file.path), file]));
  for (const target of wanted.keys())
    if (!target.startsWith(`${directory}/`))
      throw new VolumeError(`volume "${volume}": path ${path.relative(directory, target)} leads outside`);
  for (const [target, file] of wanted) {
    if (existsSync(target) && readFileSync(target).equals(file.bytes)) continue;
    mkdirSync(path.dirname(target), { recursive: true, mode: 0o711 });
    writeFileSync(`${target}.new`, file.bytes, { mode: file.secret ? 0o600 : 0o644 });
    renameSync(`${target}.new`, target);
  }
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const found = path.join(entry.parentPath, entry.name);
    if (!entry.isDirectory() && !wanted.has(found)) rmSync(found);
  }
}

interface VolumeFile {
  readonly path: string;
  readonly bytes: Buffer;
  readonly secret: boolean;
}

function filesOf(pod: Pod, volume: Volume, references: VolumeSources): VolumeFile[] {
  const { secret, configMap, downwardAPI, projected } = volume;
  if (secret !== undefined) return keyedFiles('secret', { ...secret, name: secret.secretName ?? '' }, references);
  if (configMap !== undefined) return keyedFiles('configmap', configMap, references);
  const downward = (items: { path: string; fieldRef?: { fieldPath: string } }[] = []): VolumeFile[] =>
    items.map((item) => ({
      path: item.path,
      bytes: Buffer.from(item.fieldRef === undefined ? '' : podField(pod, item.fieldRef.fieldPath)),
      secret: false,
    }));
  if (downwardAPI !== undefined) return downward(downwardAPI.items);
  return (projected?.sources ?? []).flatMap((source) => [
    ...(source.secret === undefined ? [] : keyedFiles('secret', source.secret, references)),
    ...(source.configMap === undefined ? [] : keyedFiles('configmap', source.configMap, references)),
    ...downward(source.downwardAPI?.items),
    ...(source.serviceAccountToken === undefined ? [] : [tokenFile(pod, source.serviceAccountToken, references)]),
  ]);
}

function tokenFile(pod: Pod, source: ServiceAccountTokenSource, sources: VolumeSources): VolumeFile {
  const token = sources.serviceAccountToken(pod, source);
  if (token === undefined) throw new VolumeError(`serviceaccount "${pod.spec.serviceAccountName ?? 'default'}" not found`);
  return { path: source.path, bytes: Buffer.from(token), secret: true };
}

function keyedFiles(
  kind: 'secret' | 'configmap',
  source: { name?: string; items?: KeyToPath[]; optional?: boolean },
  references: References,
): VolumeFile[] {
  const name = source.name ?? '';
  const object: KubeObject | undefined = kind === 'secret' ? references.secret(name) : references.configMap(name);
  if (object === undefined) {
    if (source.optional === true) return [];
    throw new VolumeError(`${kind} "${name}" not found`);
  }
  const all = [...Object.keys(objectAt(object, 'data')), ...Object.keys(objectAt(object, 'binaryData'))].map((key) => ({ key, path: key }));
  return (source.items ?? all).flatMap((item) => {
    const bytes = kind === 'secret' ? secretBytes(object, item.key) : configMapBytes(object, item.key);
    if (bytes !== undefined) return [{ path: item.path, bytes, secret: kind === 'secret' }];
    if (source.optional === true) return [];
    throw new VolumeError(`references non-existent key ${item.key} in ${kind} "${name}"`);
  });
}

/** The container's mounts on this machine; its root directory shows them as links at their mount paths. */
export function mountPaths(container: Container, directories: ReadonlyMap<string, string>, root: string): MountedPath[] {
  return (container.volumeMounts ?? []).map((mount) => {
    const volume = directories.get(mount.name);
    if (volume === undefined) throw new VolumeError(`volume "${mount.name}" is not one of the pod's`);
    const hostPath = mount.subPath === undefined ? volume : path.join(volume, mount.subPath);
    if (mount.subPath !== undefined) mkdirSync(hostPath, { recursive: true, mode: 0o711 });
    const link = path.join(root, mount.mountPath);
    mkdirSync(path.dirname(link), { recursive: true, mode: 0o711 });
    rmSync(link, { force: true, recursive: true });
    symlinkSync(hostPath, link);
    return { mountPath: mount.mountPath, hostPath };
  });
}

/** The directory behind a claim, by the PersistentVolume that it is bound to. */
export function claimDirectory(claim: KubeObject | undefined, volumeByName: (name: string) => KubeObject | undefined): string | undefined {
  const name = stringAt(claim, 'spec', 'volumeName');
  if (name === undefined || stringAt(claim, 'status', 'phase') !== 'Bound') return undefined;
  return stringAt(volumeByName(name), 'spec', 'hostPath', 'path');
}
