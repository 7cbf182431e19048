import { formatLsn } from '@kube-aurora/pg-format/lsn';
import { AuroraRpcError } from '@kube-aurora/rpc';
import { isBatchValid, type EpochStart, type RedoBatchHeader } from '@kube-aurora/volume';
import { describeLink, linkTo, type ChainLink } from '../redo-log/log-chain.ts';

/** LSNs are numbers in memory, exact up to here. */
const MAX_LSN = BigInt(Number.MAX_SAFE_INTEGER);

/**
 * How a batch stands to what a segment has, whoever it comes from. Throws AuroraRpcError INVALID when it can never belong
 * to it.
 */
export function fitOf(
  header: RedoBatchHeader,
  { pg, history, tail }: { readonly pg: number; readonly history: readonly EpochStart[]; readonly tail: ChainLink },
): 'next' | 'duplicate' | 'gap' {
  if (header.endLsn > MAX_LSN)
    throw new AuroraRpcError('INVALID', `batch.end_lsn: ${formatLsn(header.endLsn)} is past ${formatLsn(MAX_LSN)}`);
  if (header.pg !== pg) throw new AuroraRpcError('INVALID', `batch.pg: ${header.pg}, this segment is of ${pg}`);
  if (!isBatchValid(history, header)) {
    throw new AuroraRpcError(
      'INVALID',
      `batch.epoch: epoch ${header.epoch} ends at ${formatLsn(header.endLsn)}, which the epoch history rules out`,
    );
  }
  const link = linkTo(tail, header);
  if (link === 'forked') throw new AuroraRpcError('INVALID', `batch.backlink: ${describeLink(tail, header)}`);
  return link;
}
