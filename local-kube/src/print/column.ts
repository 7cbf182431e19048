import type { Json, KubeObject } from '../store/object.ts';

/** One column of `kubectl get`; priority 1 shows with -o wide only. */
export interface Column {
  readonly name: string;
  readonly type: string;
  readonly format?: string;
  readonly priority: number;
  readonly description?: string;
}

/** How a kind prints: its columns and an object's cells for them. */
export interface Printer {
  readonly columns: readonly Column[];
  readonly cells: (object: KubeObject, nowMs: number) => Json[];
}

export const column = (name: string, priority = 0, type = 'string'): Column => ({
  name,
  type,
  priority,
  ...(name === 'Name' ? { format: 'name' } : {}),
});
