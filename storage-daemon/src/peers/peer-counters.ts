import { Counter, type Registry } from 'prom-client';

/** What the peers' side counts; `kind` is 'page', 'redo' or 'store' (what cannot be repaired piece by piece). */
export interface KindCounter {
  inc(labels: { kind: string }, value?: number): void;
}

export interface PeerCounters {
  readonly corruptionsDetected: KindCounter;
  readonly repairs: KindCounter;
  /** Bytes taken from peers; kinds 'redo' and 'copy'. */
  readonly receivedBytes: KindCounter;
}

export function createPeerCounters(registry: Registry): PeerCounters {
  const counter = (name: string, help: string): Counter<'kind'> => new Counter({ name, help, labelNames: ['kind'], registers: [registry] });
  return {
    corruptionsDetected: counter('aurora_storage_corruptions_detected_total', 'Stored values and redo batches that failed their CRC.'),
    repairs: counter('aurora_storage_repairs_total', 'Damaged values, redo batches and stores that were replaced from a peer.'),
    receivedBytes: counter('aurora_storage_peer_received_bytes_total', 'Bytes of redo and of copied values taken from peers.'),
  };
}
