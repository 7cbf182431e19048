import { createHash } from 'node:crypto';
import type { Component } from './component.ts';
import type { ImageSpec } from './image-table.ts';

export interface Release {
  readonly version: string;
  /** Commit that it is built from. */
  readonly revision: string;
  /** Seconds since 1970: SOURCE_DATE_EPOCH. */
  readonly epoch: number;
}

export function isoTime({ epoch }: Release): string {
  return new Date(epoch * 1000).toISOString().replace('.000Z', 'Z');
}

/** An SPDX expression, and not a remark such as "SEE LICENSE IN FILE". */
const SPDX = /^\(?[A-Za-z0-9.+-]+\)?( (AND|OR|WITH) \(?[A-Za-z0-9.+-]+\)?)*$/;

function reference({ purl, type, name, hash }: Component): string {
  return purl ?? `${type}:${name}@${hash?.hex.slice(0, 16) ?? 'unknown'}`;
}

function described(component: Component): object {
  const { type, name, version, purl, license, hash, description } = component;
  return {
    type,
    'bom-ref': reference(component),
    name,
    ...(version === undefined ? {} : { version }),
    ...(description === undefined ? {} : { description }),
    ...(hash === undefined ? {} : { hashes: [{ alg: hash.algorithm, content: hash.hex }] }),
    ...(license === undefined ? {} : { licenses: [SPDX.test(license) ? { expression: license } : { license: { name: license } }] }),
    ...(purl === undefined ? {} : { purl }),
  };
}

/** The bill of materials of an image, CycloneDX 1.6: what is in it, whoever made it. The same input gives the same text. */
export function billOfMaterials(image: ImageSpec, release: Release, components: readonly Component[]): string {
  const sorted = components.toSorted((a, b) => (reference(a) < reference(b) ? -1 : 1));
  const self = `pkg:oci/${image.name}@${release.version}`;
  const body = {
    version: 1,
    metadata: {
      timestamp: isoTime(release),
      component: {
        type: 'container',
        'bom-ref': self,
        name: `kube-aurora/${image.name}`,
        version: release.version,
        description: image.description,
        licenses: [{ expression: 'Apache-2.0' }],
        properties: [{ name: 'org.opencontainers.image.revision', value: release.revision }],
      },
    },
    components: sorted.map(described),
    dependencies: [{ ref: self, dependsOn: sorted.map(reference) }],
  };
  const digest = createHash('sha256').update(JSON.stringify(body)).digest('hex');
  // A name-based UUID (version 8): another content, another number.
  const uuid = [digest.slice(0, 8), digest.slice(8, 12), `8${digest.slice(13, 16)}`, `8${digest.slice(17, 20)}`, digest.slice(20, 32)];
  return `${JSON.stringify({ bomFormat: 'CycloneDX', specVersion: '1.6', serialNumber: `urn:uuid:${uuid.join('-')}`, ...body }, undefined, 2)}\n`;
}
