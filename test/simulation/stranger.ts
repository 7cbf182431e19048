import { extendHistory } from '@kube-aurora/volume';
import type { Cluster } from './cluster.ts';
import { segmentApi } from './simulated-api.ts';
import { SEGMENT } from './storage.ts';

/**
 * Somebody who may speak to a segment says that redo which it knows to be durable counts no more: a history that begins
 * a new epoch below it, at the end of a batch. The segment must refuse it, whoever it comes from.
 */
export function strangersHistory(cluster: Cluster): string | undefined {
  const { world, exchange, stranger } = cluster;
  const { random } = world;
  const machine = random.pick(cluster.storage);
  const { segment } = machine;
  const storage = segment?.storage;
  if (segment === undefined || storage === undefined || segment.phase !== 'READY') return undefined;
  const { epoch, history } = segment.control;
  const known = storage.runs.flatMap(({ fromLsn, toLsn }) => [fromLsn, toLsn]).filter((lsn) => lsn < storage.appliedLsn);
  if (known.length === 0) return undefined;
  const startLsn = random.pick(known);
  const forged = extendHistory(
    history.filter((entry) => entry.startLsn <= startLsn),
    { epoch: epoch + 1n, startLsn },
  );
  const api = segmentApi(exchange, stranger, machine.address);
  if (world.chance(0.5)) {
    api.installHistory({ segment: SEGMENT, epoch: epoch + 1n, history: forged }, { deadlineMs: 1000 }).catch(() => undefined);
    return `${machine.id}, epoch ${epoch + 1n} from ${startLsn.toString(16)} on`;
  }
  const stream = api.append();
  stream.write({
    hello: { role: 'FULL', segment: SEGMENT, epoch: epoch + 1n, writerId: stranger.id, history: forged },
    batches: undefined,
    vdl: 0n,
    pgmrpl: 0n,
  });
  world.after(1000, () => stream.cancel());
  return `${machine.id}, hello of epoch ${epoch + 1n} from ${startLsn.toString(16)} on`;
}
