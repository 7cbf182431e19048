// The rules of who may import whom. Tests and what serves them stand outside: they may reach for anything.
const PROGRAMS = ['storage-daemon', 'compute-node', 'operator', 'local-kube', 'kubectl-aurora', 'console'];

/** Storage's layers, lowest first: each imports from those below it alone. */
const STORAGE_LAYERS = ['disk', 'redo-log', 'pages', 'checkpoint', 'edge', 'segment', 'peers', 'service'];

export default {
  forbidden: [
    { name: 'no-file-cycles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-folder-cycles', severity: 'error', scope: 'folder', from: {}, to: { circular: true } },
    ...PROGRAMS.map((program) => ({
      name: `${program}-stands-alone`,
      comment: 'Programs never import one another; what two of them share is a package.',
      severity: 'error',
      from: { path: `^${program}/` },
      to: { path: `^(${PROGRAMS.filter((other) => other !== program).join('|')}|test)/` },
    })),
    ...STORAGE_LAYERS.map((layer, at) => ({
      name: `storage-${layer}-imports-downwards`,
      comment: 'disk ← redo-log ← pages ← checkpoint ← edge ← segment ← peers ← service ← the daemon.',
      severity: 'error',
      from: { path: `^storage-daemon/src/${layer}/` },
      to: {
        path: '^storage-daemon/src/',
        pathNot: `^storage-daemon/src/(${STORAGE_LAYERS.slice(0, at + 1).join('|')})/`,
      },
    })),
    {
      name: 'storage-knows-no-engine',
      comment: 'Whose redo and pages they are, only main.ts says: the rest sees redo-engine’s interface. LSNs and CRCs are nobody’s own.',
      severity: 'error',
      from: { path: '^storage-daemon/src/', pathNot: '^storage-daemon/src/main\\.ts$' },
      to: { path: '^packages/(redo|pg-format)/', pathNot: '^packages/pg-format/src/(lsn|crc32c)\\.ts$' },
    },
    {
      name: 'packages-know-no-program',
      severity: 'error',
      from: { path: '^packages/', pathNot: '^packages/quickstart/' },
      to: { path: `^(${PROGRAMS.join('|')}|test)/` },
    },
    {
      name: 'pure-packages-do-no-io',
      comment:
        'at-rest, cluster-view, identity, log, pg-format, redo, redo-engine and volume decide; sockets, files, processes and clocks are their callers’.',
      severity: 'error',
      from: {
        path: '^packages/(at-rest|cluster-view|identity|log|pg-format|redo|redo-engine|volume)/',
        // What compiles redo in C is run before programs, or instead of an image's file.
        pathNot: '^packages/redo/(src/verify/|native/build\\.mjs$)',
      },
      to: { path: '^(node:)?(fs|net|http|https|child_process|dgram|tls|timers|os|worker_threads)(/|$)' },
    },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    parser: 'swc',
    doNotFollow: { path: 'node_modules' },
    exclude: { path: ['\\.d\\.mts$', '\\.test\\.ts$', '/testing/', '/fixture[^/]*\\.ts$', '^test/dashboards/renderer/'] },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
    builtInModules: {},
  },
};
