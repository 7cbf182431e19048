/** Every command, with its flags: what parsing, help and completion go by. */

export interface Flag {
  readonly long: string;
  readonly short?: string;
  /** What its value is called; a flag without one is a switch. */
  readonly value?: string;
  readonly choices?: readonly string[];
  readonly help: string;
}

/** What a word of a command line stands for: completion looks it up. */
export type Argument = 'cluster' | 'instance' | 'member' | 'shell';

export interface Command {
  readonly name: string;
  /** As in `status [NAME]`. */
  readonly usage: string;
  readonly summary: string;
  readonly details?: string;
  readonly arguments: readonly Argument[];
  readonly flags: readonly Flag[];
  /** Words after `--` are for another program. */
  readonly passesOn?: true;
  readonly examples: readonly string[];
}

export const GLOBAL_FLAGS: readonly Flag[] = [
  { long: 'namespace', short: 'n', value: 'NAMESPACE', help: 'namespace of the cluster; the context names the default' },
  { long: 'context', value: 'NAME', help: 'context of the kubeconfig' },
  { long: 'kubeconfig', value: 'FILE', help: 'kubeconfig to use' },
  { long: 'help', short: 'h', help: 'what a command does, and its flags' },
];

const OUTPUT: Flag = { long: 'output', short: 'o', value: 'FORMAT', choices: ['json', 'yaml'], help: 'json or yaml' };
const WATCH: Flag = { long: 'watch', short: 'w', help: 'show it anew whenever it changes, until Ctrl-C' };
const ALL: Flag = { long: 'all-namespaces', short: 'A', help: 'clusters of all namespaces' };

export const COMMANDS: readonly Command[] = [
  {
    name: 'status',
    usage: 'status [NAME]',
    summary: 'How a cluster is: health, copies, instances, endpoints, handovers, events, next step',
    details:
      'Without NAME: the only cluster of the namespace, or a line for each where there are several. Ends with 0 whenever it could be told.',
    arguments: ['cluster'],
    flags: [OUTPUT, WATCH, ALL],
    examples: [
      'kubectl aurora status',
      'kubectl aurora status demo --watch',
      'kubectl aurora status -A',
      'kubectl aurora status demo -o json',
    ],
  },
  {
    name: 'psql',
    usage: 'psql [NAME] [-- ARGUMENTS OF PSQL]',
    summary: 'A psql on the cluster, with the user and password of its Secret',
    details:
      "The machine's psql where there is one, a small one of our own otherwise. It connects to the Service where that can be reached, and forwards a port of a ready pod otherwise. With --token it asks the API server for a token of a ServiceAccount that spec.postgresql.logins names, which takes the right to create serviceaccounts/token and no password.",
    arguments: ['cluster'],
    flags: [
      { long: 'role', value: 'ROLE', choices: ['rw', 'ro', 'r'], help: 'rw: the writer (the default). ro: readers. r: any instance' },
      { long: 'superuser', help: 'as postgres, with the superuser Secret' },
      { long: 'token', help: 'by a token of a ServiceAccount, in the place of a password' },
      {
        long: 'serviceaccount',
        value: 'NAME',
        help: 'whose token, as NAME or NAMESPACE/NAME; spec.postgresql.logins has one only otherwise',
      },
      { long: 'user', value: 'ROLE', help: 'with --token: the role to log in as, where that ServiceAccount may be several' },
      { long: 'built-in', help: 'our own psql, also where the machine has one' },
    ],
    passesOn: true,
    examples: [
      'kubectl aurora psql',
      "kubectl aurora psql demo --role ro -- -c 'select count(*) from orders'",
      'kubectl aurora psql demo --token --serviceaccount shop',
    ],
  },
  {
    name: 'logs',
    usage: 'logs [NAME]',
    summary: 'Logs of all pods of a cluster, merged by time',
    arguments: ['cluster'],
    flags: [
      { long: 'follow', short: 'f', help: 'go on with new lines, until Ctrl-C' },
      { long: 'instance', value: 'NAME', help: 'of this instance alone, by its name or number; all: of all instances' },
      { long: 'segment', value: 'NAME', help: 'of this segment alone, by its name or number; all: of all segments' },
      { long: 'operator', help: 'of the operator' },
      { long: 'tail', value: 'LINES', help: 'so many lines of each pod; 20, or all with --since' },
      { long: 'since', value: 'DURATION', help: 'newer than this: 30s, 10m, 2h' },
      { long: 'previous', short: 'p', help: "of the container's run before the present one" },
      { long: 'raw', help: 'lines as the programs wrote them (JSON), with the name of the pod before them' },
      { long: 'output', short: 'o', value: 'FORMAT', choices: ['json'], help: 'json: each line a JSON object, with nothing before it' },
    ],
    examples: ['kubectl aurora logs -f', 'kubectl aurora logs demo --instance 1 --since 10m', 'kubectl aurora logs demo --operator'],
  },
  {
    name: 'top',
    usage: 'top [NAME]',
    summary: 'What instances do now: connections, CPU, flushes, redo, reads, cache, lag',
    details:
      'Rates are of one second, from the programs’ metrics, through the API server’s proxy of pods (which takes the right to get pods/proxy).',
    arguments: ['cluster'],
    flags: [WATCH],
    examples: ['kubectl aurora top', 'kubectl aurora top demo --watch'],
  },
  {
    name: 'storage',
    usage: 'storage [NAME]',
    summary: 'What each copy holds: bytes, log, checkpoint, repairs, and who keeps redo from going',
    details: 'From the status and, through the API server’s proxy of pods, from the daemons’ metrics.',
    arguments: ['cluster'],
    flags: [WATCH],
    examples: ['kubectl aurora storage demo'],
  },
  {
    name: 'switchover',
    usage: 'switchover NAME INSTANCE',
    summary: "Gives the writer's place to a reader, and waits until that is done",
    details: 'Ends with 1 when it is refused or fails, and says why.',
    arguments: ['cluster', 'instance'],
    flags: [{ long: 'no-wait', help: 'ask for it, and do not wait' }],
    examples: ['kubectl aurora switchover demo demo-2'],
  },
  {
    name: 'restart',
    usage: 'restart [NAME] [INSTANCE]',
    summary: 'Restarts all pods of a cluster in order, or one of them',
    details:
      'Without INSTANCE (or the name of a segment) the operator restarts everything, storage one at a time and the writer last. One pod is evicted: a disruption budget that allows no loss now is kept.',
    arguments: ['cluster', 'member'],
    flags: [{ long: 'writer', help: 'INSTANCE may be the one that writes: another takes its place, or clients wait for it' }],
    examples: ['kubectl aurora restart demo', 'kubectl aurora restart demo demo-2'],
  },
  {
    name: 'report',
    usage: 'report [NAME]',
    summary: 'A zip for those who help: status, manifests, events, logs, metrics; without secrets',
    details:
      'No Secret is in it. The passwords of the cluster’s Secrets are taken out wherever they stand, and what looks like a password, key or token; without the right to read Secrets only the latter.',
    arguments: ['cluster'],
    flags: [
      { long: 'file', value: 'FILE', help: 'where to; aurora-NAME-TIME.zip in the present directory otherwise' },
      { long: 'tail', value: 'LINES', help: 'so many lines of each log; 2000' },
    ],
    examples: ['kubectl aurora report demo'],
  },
  {
    name: 'completion',
    usage: 'completion bash|zsh|fish',
    summary: 'Completion of kubectl-aurora for a shell',
    details:
      'kubectl completes `kubectl aurora …` by itself where a program kubectl_complete-aurora is on the PATH (kubectl 1.26 or later); it comes with this one.',
    arguments: ['shell'],
    flags: [],
    examples: ['source <(kubectl aurora completion bash)'],
  },
  {
    name: 'version',
    usage: 'version',
    summary: 'The version of this program',
    arguments: [],
    flags: [],
    examples: ['kubectl aurora version'],
  },
  {
    name: 'help',
    usage: 'help [COMMAND]',
    summary: 'What a command does',
    arguments: [],
    flags: [],
    examples: ['kubectl aurora help psql'],
  },
];

export function findCommand(name: string): Command | undefined {
  return COMMANDS.find((command) => command.name === name);
}
