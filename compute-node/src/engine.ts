import { controlFileLayout, type ControlFileLayout } from '@kube-aurora/pg-format';
import { postgres18 } from '@kube-aurora/redo';
import type { VolumeEngine } from '@kube-aurora/rpc';

/**
 * The engine that a compute of this release is: the PostgreSQL that it starts, the redo that it sends, the data
 * directories that it lays. The one place that says which.
 */
export const ENGINE: VolumeEngine = postgres18.id;

export const CONTROL_FILE: ControlFileLayout = controlFileLayout(ENGINE.major);

/** Content of PG_VERSION, in the data directory and in that of each database. */
export const VERSION_FILE = `${ENGINE.major}\n`;

const name = ({ engine, major }: VolumeEngine): string => (engine === 'postgres' ? `PostgreSQL ${major}` : `${engine} ${major}`);

export const ENGINE_NAME = name(ENGINE);

/**
 * Why a compute cannot open a volume of this engine, and what to do; undefined when it can. A segment names none while
 * it is empty.
 */
export function engineMismatch(volume: VolumeEngine | undefined): string | undefined {
  if (volume === undefined || (volume.engine === ENGINE.engine && volume.major === ENGINE.major)) return undefined;
  return (
    `the volume is of ${name(volume)}, and this compute runs ${ENGINE_NAME}: ` +
    `start the compute of a release that runs ${name(volume)}, or restore the data into a new volume`
  );
}
