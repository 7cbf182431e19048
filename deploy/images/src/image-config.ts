import { RUN_AS, type ImageSpec } from './image-table.ts';
import { isoTime, type Release } from './sbom.ts';

export const SOURCE = 'https://github.com/kube-aurora/kube-aurora';

/** How an image starts: what a Dockerfile says of it and what is in its configuration. */
export interface StartOptions {
  readonly user: string;
  readonly env: readonly string[];
  readonly entrypoint: readonly string[];
  readonly ports: readonly string[];
}

/** No health check: Kubernetes has probes, and they know how long each program may take. */
export function startOptions(image: ImageSpec): StartOptions {
  return {
    user: `${RUN_AS}:${RUN_AS}`,
    env: Object.entries(image.env).map(([name, value]) => `${name}=${value}`),
    entrypoint: [`/app/bin/${image.name}`],
    ports: image.ports.map((port) => `${port}/tcp`),
  };
}

/** The annotations that OCI has names for; labels of the configuration as well, since that is where `docker inspect` looks. */
export function labels(image: ImageSpec, release: Release): Readonly<Record<string, string>> {
  return {
    'org.opencontainers.image.created': isoTime(release),
    'org.opencontainers.image.description': image.description,
    'org.opencontainers.image.documentation': `${SOURCE}/blob/main/docs/images.md`,
    'org.opencontainers.image.licenses': 'Apache-2.0',
    'org.opencontainers.image.revision': release.revision,
    'org.opencontainers.image.source': SOURCE,
    'org.opencontainers.image.title': image.title,
    'org.opencontainers.image.vendor': 'kube-aurora',
    'org.opencontainers.image.version': release.version,
  };
}
