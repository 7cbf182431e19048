import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { ClusterAnswer, OverviewAnswer } from '../answers/answers.ts';
import { Client } from './client.ts';
import { extended, type Hour } from './model/hour.ts';

const CLUSTER_MS = 2_000;
const OVERVIEW_MS = 6_000;
const HISTORY_MS = 10_000;

export interface ConsoleState {
  /** Another token is wanted, with the reason; undefined while we are let in. */
  readonly refused: string | undefined;
  readonly overview: OverviewAnswer | undefined;
  readonly cluster: ClusterAnswer | undefined;
  readonly hour: Hour | undefined;
  /** The server's clock, as well as we know it. */
  readonly now: number;
  /** Since when the console's server does not answer us, by its clock; undefined while it does. */
  readonly silentSince: number | undefined;
}

/** `namespace/name` that the address names: another cluster is another address, to keep and to send. */
function chosen(): string | undefined {
  const key = location.hash.replace(/^#\/?/, '');
  return /^[^/]+\/[^/]+$/.test(key) ? key : undefined;
}

/** Asks the server as long as somebody sees the page, and keeps what it said last. */
export function useConsole(): ConsoleState & { readonly useToken: (token: string) => void } {
  const client = useMemo(() => new Client(), []);
  const [refused, setRefused] = useState<string>();
  const [overview, setOverview] = useState<OverviewAnswer>();
  const [cluster, setCluster] = useState<ClusterAnswer>();
  const [hour, setHour] = useState<Hour>();
  const [key, setKey] = useState(chosen());
  const [silentSince, setSilentSince] = useState<number>();
  const [, tick] = useState(0);
  /** The server's clock less ours, as of its last answer. */
  const offset = useRef(0);
  const [tries, setTries] = useState(0);
  const now = Date.now() + offset.current;

  const heard = (at: number): void => {
    offset.current = at - Date.now();
    setSilentSince(undefined);
    setRefused(undefined);
  };
  const missed = (): void => setSilentSince((since) => since ?? Date.now() + offset.current);

  useEffect(() => {
    const follow = (): void => setKey(chosen());
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);

  useEffect(() => {
    const timer = setInterval(() => tick((count) => count + 1), 1_000);
    return () => clearInterval(timer);
  }, []);

  useEffect(
    () =>
      repeatedly(OVERVIEW_MS, async () => {
        const reply = await client.overview();
        if (reply.kind === 'answered') {
          heard(reply.body.at);
          setOverview(reply.body);
        } else if (reply.kind === 'refused') setRefused(reply.message);
        else missed();
      }),
    [client, tries],
  );

  const first = overview?.clusters[0];
  const isKnown = overview?.clusters.some(({ namespace, name }) => `${namespace}/${name}` === key) === true;
  const shown = isKnown ? key : first === undefined ? undefined : `${first.namespace}/${first.name}`;

  useEffect(() => {
    setCluster(undefined);
    setHour(undefined);
    if (shown === undefined || refused !== undefined) return undefined;
    let newest = 0;
    let last: Hour | undefined;
    let isOver = false;
    const stopCluster = repeatedly(CLUSTER_MS, async () => {
      const reply = await client.cluster(shown);
      if (isOver) return;
      if (reply.kind === 'answered') {
        heard(reply.body.at);
        setCluster(reply.body);
      } else if (reply.kind === 'refused') setRefused(reply.message);
      else if (reply.kind === 'gone') setCluster(undefined);
      else missed();
    });
    const stopHistory = repeatedly(HISTORY_MS, async () => {
      const reply = await client.history(shown, newest);
      if (isOver || reply.kind !== 'answered') return;
      last = extended(last, reply.body);
      // The newest step may still be told of anew.
      newest = Math.max(0, last.endAt - last.stepMs);
      setHour(last);
    });
    return () => {
      isOver = true;
      stopCluster();
      stopHistory();
    };
  }, [client, shown, refused === undefined]);

  const useToken = (token: string): void => {
    client.useToken(token);
    setTries((count) => count + 1);
  };
  return { refused, overview, cluster, hour, now, silentSince, useToken };
}

/** One question at a time, `everyMs` apart, while the page is seen; at once when it is seen again. */
function repeatedly(everyMs: number, ask: () => Promise<void>): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isOver = false;
  let isAsking = false;
  const run = async (): Promise<void> => {
    clearTimeout(timer);
    if (isOver || isAsking || document.hidden) return;
    isAsking = true;
    await ask();
    isAsking = false;
    if (!isOver) timer = setTimeout(() => void run(), everyMs);
  };
  const seen = (): void => void run();
  document.addEventListener('visibilitychange', seen);
  void run();
  return () => {
    isOver = true;
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', seen);
  };
}
