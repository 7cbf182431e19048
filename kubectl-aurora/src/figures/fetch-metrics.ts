import { ApiError, type KubeApi } from '@kube-aurora/kube-http';
import { COMPONENT_LABEL, type Metrics, parseMetrics, path, type Pod } from '@kube-aurora/cluster-view';

/** Where programs of each kind serve their metrics. */
const PORT: Readonly<Record<string, number>> = { compute: 7003, storage: 7002 };

/**
 * The API server tries for half a minute to reach a pod whose node is gone, or that a NetworkPolicy keeps from it. Those that can be reached answer in
 * some tens of milliseconds.
 */
const ANSWER_MS = 2000;

/** What each pod says, by its name; why not, of those that could not be asked. */
export interface Figures {
  readonly byPod: ReadonlyMap<string, Metrics>;
  readonly missing: ReadonlyMap<string, string>;
}

/** Asks pods through the API server's proxy, all at once. Whose metrics cannot be had is told, and stops nobody. `hear` gets them as they are. */
export async function fetchMetrics(
  api: KubeApi,
  pods: readonly Pod[],
  hear: (pod: string, text: string) => void = () => undefined,
  answerMs = ANSWER_MS,
): Promise<Figures> {
  const byPod = new Map<string, Metrics>();
  const missing = new Map<string, string>();
  await Promise.all(
    pods.map(async ({ metadata: { name, namespace, labels } }) => {
      const port = PORT[labels?.[COMPONENT_LABEL] ?? ''];
      if (port === undefined) return;
      try {
        const text = await api.text(`${path.core('pods', namespace, `${name}:${port}`)}/proxy/metrics`, answerMs);
        hear(name, text);
        byPod.set(name, parseMetrics(text));
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        missing.set(name, error.reason === 'Timeout' ? `no answer by way of the API server within ${answerMs / 1000} s` : error.message);
      }
    }),
  );
  return { byPod, missing };
}
