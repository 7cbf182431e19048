import { createHash, type Hash } from 'node:crypto';
import { createWriteStream, mkdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { copyOf, fileTree, text, type Entry } from './file-tree.ts';
import { labels, startOptions } from './image-config.ts';
import type { ImageContent, Layer } from './layers.ts';
import { isoTime, type Release } from './sbom.ts';
import { tar } from './tar.ts';

const MEDIA = {
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
} as const;

export interface Descriptor {
  readonly mediaType: string;
  /** sha256:… */
  readonly digest: string;
  readonly size: number;
}

/** A layer that is in a layout. */
interface WrittenLayer {
  readonly descriptor: Descriptor;
  /** Of the tar before it was compressed. */
  readonly diffId: string;
}

/** Writes blobs of images below `directory`, each once: images share layers. */
export class BlobStore {
  readonly #directory: string;
  readonly #layers = new Map<Layer, Promise<WrittenLayer>>();

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true });
  }

  path(digest: string): string {
    return join(this.#directory, digest.replace('sha256:', ''));
  }

  put(mediaType: string, content: string): Descriptor {
    const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`;
    writeFileSync(this.path(digest), content);
    return { mediaType, digest, size: Buffer.byteLength(content) };
  }

  layer(layer: Layer): Promise<WrittenLayer> {
    const known = this.#layers.get(layer) ?? this.#write(layer);
    this.#layers.set(layer, known);
    return known;
  }

  async #write(layer: Layer): Promise<WrittenLayer> {
    const unfinished = join(this.#directory, `unfinished-${layer.name}`);
    const [plain, packed] = [createHash('sha256'), createHash('sha256')];
    // Node's zlib is part of the pinned Node: another machine's compresses to the same bytes.
    const gzip = createGzip({ level: 6 });
    await pipeline(Readable.from(tar(layer.entries)), hashing(plain), gzip, hashing(packed), createWriteStream(unfinished));
    const digest = `sha256:${packed.digest('hex')}`;
    renameSync(unfinished, this.path(digest));
    const { size } = statSync(this.path(digest));
    return { descriptor: { mediaType: MEDIA.layer, digest, size }, diffId: `sha256:${plain.digest('hex')}` };
  }
}

function hashing(hash: Hash): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(undefined, chunk);
    },
  });
}

/** An image whose blobs are written. */
export interface WrittenImage {
  readonly content: ImageContent;
  readonly manifest: Descriptor;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

/** Writes an image's configuration, manifest and layers. Nothing in them depends on when or where it is done. */
export async function writeImage(store: BlobStore, content: ImageContent, release: Release): Promise<WrittenImage> {
  const layers: WrittenLayer[] = [];
  for (const layer of content.layers) layers.push(await store.layer(layer));
  const { user, env, entrypoint, ports } = startOptions(content.image);
  const annotations = labels(content.image, release);
  const config = store.put(
    MEDIA.config,
    JSON.stringify({
      created: isoTime(release),
      architecture: 'amd64',
      os: 'linux',
      config: {
        User: user,
        ExposedPorts: Object.fromEntries(ports.map((port) => [port, {}])),
        Env: env,
        Entrypoint: entrypoint,
        WorkingDir: '/',
        Labels: annotations,
      },
      rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
      history: content.layers.map(({ name }) => ({ created: isoTime(release), created_by: `npm run images: ${name}` })),
    }),
  );
  const descriptors = layers.map(({ descriptor }) => descriptor);
  const manifest = store.put(
    MEDIA.manifest,
    JSON.stringify({ schemaVersion: 2, mediaType: MEDIA.manifest, config, layers: descriptors, annotations }),
  );
  return { content, manifest, config, layers: descriptors };
}

/** `repository/NAME`, with each of `tags`. */
export interface Names {
  /** As people write it, `kube-aurora` or `ghcr.io/somebody`: the first is Docker Hub's, as container engines take it. */
  readonly repository: string;
  readonly tags: readonly string[];
}

function fullName(name: string): string {
  const host = name.split('/')[0] ?? '';
  return name.includes('/') && (/[.:]/.test(host) || host === 'localhost') ? name : `docker.io/${name}`;
}

/**
 * The files of an OCI image layout, and manifest.json besides, by which Docker before 25 loads it. Blobs are named by
 * where they are.
 */
export function layoutEntries(store: BlobStore, { content, manifest, config, layers }: WrittenImage, names: Names): Entry[] {
  const references = names.tags.map((tag) => `${names.repository}/${content.image.name}:${tag}`);
  const blob = ({ digest }: Descriptor): string => `blobs/${digest.replace(':', '/')}`;
  const index = {
    schemaVersion: 2,
    mediaType: MEDIA.index,
    manifests: references.map((reference) => ({
      ...manifest,
      annotations: { 'io.containerd.image.name': fullName(reference), 'org.opencontainers.image.ref.name': reference.split(':').at(-1) },
      platform: { architecture: 'amd64', os: 'linux' },
    })),
  };
  const docker = [{ Config: blob(config), RepoTags: references, Layers: layers.map(blob) }];
  return [
    text('index.json', JSON.stringify(index)),
    text('manifest.json', JSON.stringify(docker)),
    text('oci-layout', JSON.stringify({ imageLayoutVersion: '1.0.0' })),
    ...[manifest, config, ...layers].map((descriptor) => copyOf(blob(descriptor), store.path(descriptor.digest))),
  ];
}

/** The layout in one tar, for `docker load`, `kind load image-archive` and `ctr images import`. */
export async function writeArchive(file: string, entries: readonly Entry[]): Promise<void> {
  const unfinished = `${file}.unfinished`;
  await pipeline(Readable.from(tar(fileTree(entries))), createWriteStream(unfinished));
  rmSync(file, { force: true });
  renameSync(unfinished, file);
}
