import type { Reporter, TestModule } from 'vitest/node';
import { relative } from 'node:path';

const SHOWN = 12;

/** Prints, when all is done, which test files took longest: where the time of `npm test` goes. */
export class SlowestFiles implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const files = modules
      .map((module) => {
        const { duration, setupDuration, collectDuration } = module.diagnostic();
        return { name: nameOf(module), seconds: (duration + setupDuration + collectDuration) / 1000 };
      })
      .toSorted((a, b) => b.seconds - a.seconds);
    const total = files.reduce((sum, { seconds }) => sum + seconds, 0);
    const lines = files.slice(0, SHOWN).map(({ name, seconds }) => `${seconds.toFixed(1).padStart(8)} s  ${name}`);
    process.stdout.write(`\nSlowest of ${files.length} files (${total.toFixed(0)} s in all):\n${lines.join('\n')}\n\n`);
  }
}

function nameOf(module: TestModule): string {
  const path = relative(process.cwd(), module.moduleId);
  return module.project.name === 'sanitized shim' ? `${path} (sanitized)` : path;
}
