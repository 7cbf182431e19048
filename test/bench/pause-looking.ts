/**
 * For `--import` of an agent: what it asks PostgreSQL can be turned off and on while it runs, by SIGUSR2, and asked TIMES_LOOKED times over each time, so that
 * what it costs stands out of the noise. It begins turned off.
 */
import { isMainThread } from 'node:worker_threads';
import { ActivityLook } from '../../compute-node/src/insights/activity.ts';
import { StatisticsLook } from '../../compute-node/src/insights/server-statistics.ts';
import { StatementsLook } from '../../compute-node/src/insights/top-statements.ts';

// The variable goes to all programs and their threads; agents' main threads look.
if (process.env['AURORA_INSTANCE'] !== undefined && isMainThread) {
  const times = Number(process.env['TIMES_LOOKED'] ?? '1');
  let isOn = false;
  process.on('SIGUSR2', () => (isOn = !isOn));
  for (const look of [ActivityLook, StatisticsLook, StatementsLook]) {
    const take = look.prototype.take;
    look.prototype.take = async function (this: InstanceType<typeof look>, client): Promise<void> {
      for (let time = 0; isOn && time < times; time++) await Reflect.apply(take, this, [client]);
    };
  }
}
