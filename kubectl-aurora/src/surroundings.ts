import type { KubeApi } from '@kube-aurora/kube-http';
import type { Screen } from './text/paint.ts';

/** What commands have of the world outside. */
export interface Surroundings {
  readonly api: KubeApi;
  readonly now: () => number;
  /** Asked each time: terminals change their size. */
  readonly screen: () => Screen;
  readonly write: (text: string) => void;
  /** Ends waiting. */
  readonly signal: AbortSignal;
}
