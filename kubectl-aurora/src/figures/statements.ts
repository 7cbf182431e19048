import { ApiError, type KubeApi } from '@kube-aurora/kube-http';
import { formatMs, path, type Cluster, type Pod } from '@kube-aurora/cluster-view';
import type { Screen } from '../text/paint.ts';
import { table, type Cell } from '../text/table.ts';

/** A statement as an agent's /status tells of it. */
export interface Statement {
  readonly queryId: string;
  readonly database: string;
  readonly calls: number;
  readonly seconds: number;
  readonly meanMs: number;
  readonly text: string;
}

const AGENT_PORT = 7003;
const ANSWER_MS = 2000;
const SHOWN = 5;
const HEADERS = ['QUERYID', 'TIME', 'CALLS', 'MEAN', 'DATABASE', 'STATEMENT'];

/** Of the writer, most time first. None where it does not say: pg_stat_statements is not loaded, or the pod cannot be asked, which its figures tell. */
export async function fetchStatements(api: KubeApi, { status }: Cluster, pods: readonly Pod[]): Promise<readonly Statement[]> {
  const writer = pods.find(({ metadata: { name } }) => name === status?.instances?.find(({ role }) => role === 'writer')?.name);
  if (writer === undefined) return [];
  const { name, namespace } = writer.metadata;
  try {
    return readStatements(await api.text(`${path.core('pods', namespace, `${name}:${AGENT_PORT}`)}/proxy/status`, ANSWER_MS));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return [];
  }
}

/** What an agent says of statements, of any release; what is none is left out. */
export function readStatements(body: string): readonly Statement[] {
  let told: unknown;
  try {
    told = JSON.parse(body);
  } catch {
    // Whoever answers there is no agent.
    return [];
  }
  const { statements } = fieldsOf(fieldsOf(told)['insights']);
  if (!Array.isArray(statements)) return [];
  return statements.flatMap((one) => {
    const { queryId, database, calls, seconds, meanMs, text } = fieldsOf(one);
    return typeof queryId === 'string' &&
      typeof text === 'string' &&
      typeof calls === 'number' &&
      typeof seconds === 'number' &&
      typeof meanMs === 'number'
      ? [{ queryId, database: typeof database === 'string' ? database : '-', calls, seconds, meanMs, text }]
      : [];
  });
}

/** Those that took most time since statistics began. Pure. */
export function renderStatements(statements: readonly Statement[], screen: Screen): string {
  if (statements.length === 0) return '';
  const rows = statements
    .slice(0, SHOWN)
    .map(({ queryId, database, calls, seconds, meanMs, text }): readonly Cell[] => [
      queryId,
      formatMs(seconds * 1000),
      String(calls),
      formatMs(meanMs),
      database,
      text,
    ]);
  return `\n${table(screen, HEADERS, rows, { right: ['TIME', 'CALLS', 'MEAN'] }).join('\n')}\n`;
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}
