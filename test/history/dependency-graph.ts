/** Who must come before whom, and cycles in that. */

export type DependencyKind =
  /** Appended to one list, one after the other. */
  | 'ww'
  /** Saw what the other appended. */
  | 'wr'
  /** Did not see what the other appended. */
  | 'rw'
  /** Had ended before the other began. */
  | 'time'
  /** Came before the other in one session. */
  | 'session';

interface Edge {
  readonly to: number;
  readonly kind: DependencyKind;
  /** The list that tells it. */
  readonly key: number | undefined;
}

export interface Step {
  readonly from: number;
  readonly to: number;
  readonly kind: DependencyKind;
  readonly key: number | undefined;
}

/** Of the nodes of a knot that the shortest cycle is looked for from, so that a large knot takes no minutes. */
const TRIED_MAX = 60;

export class DependencyGraph {
  /** Nodes from 0; those from `#transactions` on are moments in time, which hold no transaction. */
  readonly #edges: Edge[][];
  readonly #transactions: number;

  constructor(transactions: number) {
    this.#transactions = transactions;
    this.#edges = Array.from({ length: transactions }, () => []);
  }

  add(from: number, to: number, kind: DependencyKind, key?: number): void {
    if (from !== to) this.#edges[from]?.push({ to, kind, key });
  }

  /**
   * Everyone that ended before another began comes before it. One moment for each end, in a chain, stands for the square of their number
   * in edges.
   */
  addTimes(ends: readonly { node: number; atMs: number }[], beginnings: readonly { node: number; atMs: number }[]): void {
    const sorted = ends.toSorted((a, b) => a.atMs - b.atMs);
    const first = this.#edges.length;
    for (const [index, { node }] of sorted.entries()) {
      this.#edges.push([]);
      this.add(node, first + index, 'time');
      if (index > 0) this.add(first + index - 1, first + index, 'time');
    }
    let before = 0;
    for (const { node, atMs } of beginnings.toSorted((a, b) => a.atMs - b.atMs)) {
      while (before < sorted.length && (sorted[before]?.atMs ?? Infinity) < atMs) before++;
      if (before > 0) this.add(first + before - 1, node, 'time');
    }
  }

  /** One short cycle for each knot of transactions that come before one another. */
  cycles(): Step[][] {
    return this.#knots().flatMap((knot) => {
      const inside = new Set(knot);
      const tried = knot.filter((node) => node < this.#transactions).slice(0, TRIED_MAX);
      const found = tried.map((node) => this.#shortestFrom(node, inside)).filter((cycle) => cycle !== undefined);
      const [shortest] = found.toSorted((a, b) => a.length - b.length);
      return shortest === undefined ? [] : [shortest];
    });
  }

  /** Strongly connected components with more than one node: Tarjan's, without recursion, since a history is long. */
  #knots(): number[][] {
    const count = this.#edges.length;
    const index = new Int32Array(count).fill(-1);
    const low = new Int32Array(count);
    const isOpen = new Uint8Array(count);
    const open: number[] = [];
    const knots: number[][] = [];
    let next = 0;
    for (let root = 0; root < count; root++) {
      if (index[root] !== -1) continue;
      const path: { node: number; edge: number }[] = [{ node: root, edge: 0 }];
      while (path.length > 0) {
        const top = path[path.length - 1];
        if (top === undefined) break;
        const { node } = top;
        if (top.edge === 0) {
          index[node] = low[node] = next++;
          open.push(node);
          isOpen[node] = 1;
        }
        const edge = this.#edges[node]?.[top.edge++];
        if (edge !== undefined) {
          if (index[edge.to] === -1) path.push({ node: edge.to, edge: 0 });
          else if (isOpen[edge.to] === 1) low[node] = Math.min(low[node] ?? 0, index[edge.to] ?? 0);
          continue;
        }
        path.pop();
        const parent = path.at(-1);
        if (parent !== undefined) low[parent.node] = Math.min(low[parent.node] ?? 0, low[node] ?? 0);
        if (low[node] !== index[node]) continue;
        const knot = open.splice(open.lastIndexOf(node));
        for (const member of knot) isOpen[member] = 0;
        if (knot.length > 1) knots.push(knot);
      }
    }
    return knots;
  }

  /** The way from a transaction back to itself with the fewest steps; steps between moments count nothing. */
  #shortestFrom(start: number, inside: ReadonlySet<number>): Step[] | undefined {
    const came = new Map<number, Step>();
    let layer = [start];
    while (layer.length > 0) {
      const further: number[] = [];
      // It grows while it is gone through.
      for (let at = 0; at < layer.length; at++) {
        const from = layer[at] ?? start;
        for (const { to, kind, key } of this.#edges[from] ?? []) {
          if (!inside.has(to) || came.has(to)) continue;
          came.set(to, { from, to, kind, key });
          if (to === start) return this.#wayBack(start, came);
          (this.#isMoment(to) ? layer : further).push(to);
        }
      }
      layer = further;
    }
    return undefined;
  }

  #wayBack(start: number, came: ReadonlyMap<number, Step>): Step[] {
    const steps: Step[] = [];
    let at = start;
    do {
      const last = came.get(at);
      if (last === undefined) throw new RangeError('a way that does not lead back');
      let { from } = last;
      while (this.#isMoment(from)) from = came.get(from)?.from ?? start;
      steps.unshift({ ...last, from });
      at = from;
    } while (at !== start);
    return steps;
  }

  #isMoment(node: number): boolean {
    return node >= this.#transactions;
  }
}
