// What goes into the images: the one table that the Dockerfiles are generated from and that the build without a
// container engine reads. Paths are those in an image, without the leading slash.

export const IMAGE_NAMES = ['operator', 'storage-daemon', 'compute-node', 'console'] as const;
export type ImageName = (typeof IMAGE_NAMES)[number];
export type AddonName = 'appendLane' | 'pageRedo' | 'walCut';

/** A file of an npm package that is taken as it is. */
export interface PackageFiles {
  /** The package that depends on it, from the repository's root: where it is looked up. */
  readonly dependent: string;
  readonly package: string;
  /** File or directory inside the package. */
  readonly from: string;
  readonly to: string;
}

export interface ImageSpec {
  readonly name: ImageName;
  readonly title: string;
  readonly description: string;
  /** What esbuild bundles, from the repository's root. */
  readonly entry: string;
  readonly packageFiles: readonly PackageFiles[];
  /** The console's page, beside its program. */
  readonly page?: boolean;
  /** What of ours Node loads: append lanes (packages/append-lane), redo in C (packages/redo), the cutting of WAL (packages/wal-cut). */
  readonly addons?: readonly AddonName[];
  /** PostgreSQL, the shim, and the shell and locale that PostgreSQL's initdb needs. */
  readonly postgres: boolean;
  readonly env: Readonly<Record<string, string>>;
  readonly ports: readonly number[];
}

/** User and group of all images: a number, so that `runAsNonRoot` can tell that it is not root. */
export const RUN_AS = 10_001;

export const PLACE = {
  node: 'app/bin/node',
  bin: 'app/bin',
  lib: 'app/lib',
  postgres: 'app/postgresql',
  shim: 'app/lib/libaurora_shim.so',
  appendLane: 'app/lib/append_lane.node',
  pageRedo: 'app/lib/page_redo.node',
  walCut: 'app/lib/wal_cut.node',
  licenses: 'usr/share/licenses',
  sbom: 'usr/share/sbom',
} as const;

/**
 * Directories that pods mount volumes on, and /tmp: the only places that are ever written to. Empty in the image, so
 * that the root may be read-only.
 */
export const MOUNT_POINTS = [
  { path: 'tmp', mode: 0o1777 },
  { path: 'var/cache/kube-aurora', mode: 0o755 },
  { path: 'var/lib/kube-aurora/data', mode: 0o755 },
  { path: 'var/lib/kube-aurora/pgdata', mode: 0o755 },
  { path: 'etc/kube-aurora', mode: 0o755 },
  { path: 'proc', mode: 0o555 },
  { path: 'sys', mode: 0o555 },
  { path: 'dev', mode: 0o755 },
] as const;

const COMMON_ENV = { PATH: '/app/bin:/bin', NODE_NO_WARNINGS: '1' };

export const IMAGES: Readonly<Record<ImageName, ImageSpec>> = {
  operator: {
    name: 'operator',
    title: 'kube-aurora operator',
    description: 'Makes pods, claims, Services and Secrets of AuroraClusters and keeps them as they should be.',
    entry: 'operator/src/main.ts',
    packageFiles: [],
    postgres: false,
    env: COMMON_ENV,
    ports: [7000],
  },
  'storage-daemon': {
    name: 'storage-daemon',
    title: 'kube-aurora storage daemon',
    description: "Keeps one of the six copies of a volume's redo and pages.",
    entry: 'storage-daemon/src/main.ts',
    packageFiles: [
      // Read at the start, from two directories above the bundle.
      { dependent: 'storage-daemon', package: 'grpc-health-check', from: 'proto', to: 'app/proto' },
    ],
    addons: ['appendLane', 'pageRedo'],
    postgres: false,
    env: { ...COMMON_ENV, AURORA_APPEND_LANE: `/${PLACE.appendLane}`, AURORA_PAGE_REDO: `/${PLACE.pageRedo}` },
    ports: [7001, 7002, 7004],
  },
  'compute-node': {
    name: 'compute-node',
    title: 'kube-aurora compute node',
    description: 'PostgreSQL 18 and the agent that runs it on a volume.',
    entry: 'compute-node/src/main.ts',
    packageFiles: [],
    addons: ['walCut'],
    postgres: true,
    env: {
      ...COMMON_ENV,
      AURORA_PG_BIN: `/${PLACE.postgres}/bin`,
      AURORA_SHIM_LIBRARY: `/${PLACE.shim}`,
      AURORA_WAL_CUT: `/${PLACE.walCut}`,
    },
    ports: [5432, 7003],
  },
  console: {
    name: 'console',
    title: 'kube-aurora console',
    description: 'A page that shows AuroraClusters as they go. It only looks.',
    entry: 'console/src/main.ts',
    packageFiles: [],
    page: true,
    postgres: false,
    env: COMMON_ENV,
    ports: [7005],
  },
};

/**
 * Native modules: what finds the right file at run time is replaced by the file for Linux x64 with glibc. `dependent` is
 * who depends on one, from the repository's root.
 */
export const NATIVE_MODULES = {
  /** Packages that ask a package for their platform, which is the file. */
  platformPackages: [
    { name: '@node-rs/crc32', dependent: 'packages/pg-format', platformPackage: '@node-rs/crc32-linux-x64-gnu' },
    { name: 'lz4-napi', dependent: 'packages/pg-format', platformPackage: '@antoniomuso/lz4-napi-linux-x64-gnu' },
  ],
  /** Packages whose `binding.js` looks for a file of their own. */
  bindings: [{ name: 'classic-level', dependent: 'storage-daemon', file: 'prebuilds/linux-x64/classic-level.node' }],
} as const;

/** What of PostgreSQL's package is left out, by path below its `native`. */
export const POSTGRES_LEFT_OUT: readonly RegExp[] = [
  /^pg-symlinks\.json$/,
  /^bin\/pg_ctl$/,
  // For building against PostgreSQL, and for programs that are not here.
  /\.a$/,
  /^lib\/pkgconfig\//,
  /^lib\/postgresql\/pgxs\//,
  /^lib\/lib(ecpg|ecpg_compat|pgtypes)\./,
  /^lib\/lib[a-z0-9]+\.so$/,
  /^share\/postgresql\/psqlrc\.sample$/,
  // Languages whose interpreters (Perl 5.26, Python 3.6, Tcl 8.6) are not in the package: they could not be created.
  /^lib\/postgresql\/([a-z]+_)?(plperl|plpython3|pltcl)\.so$/,
  /^share\/postgresql\/extension\/([a-z]+_)?(plperl|plperlu|plpython3u|pltcl|pltclu)[.-]/,
];

/** Text files that every image has. glibc reads nsswitch.conf; initdb wants to know its user's name. */
export const ETC_FILES: Readonly<Record<string, string>> = {
  'etc/passwd': `root:x:0:0:root:/:/sbin/nologin\naurora:x:${RUN_AS}:${RUN_AS}:kube-aurora:/tmp:/sbin/nologin\n`,
  'etc/group': `root:x:0:\naurora:x:${RUN_AS}:\n`,
  'etc/nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
};
