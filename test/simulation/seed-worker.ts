/** A process of `npm run simulate` beside others: runs the seeds that it is sent, and sends what came of them. */
import { runRange, type SeedRange } from './seed-range.ts';

process.on('message', (range: SeedRange) => {
  const print = (text: string): void => void process.send?.({ text });
  void runRange(range, print, () => process.send?.({ seed: true })).then((outcome) => {
    process.send?.({ outcome });
    process.disconnect();
  });
});
