import { ActivityLook } from './activity.ts';
import type { Look } from './look.ts';
import { Sampler, type LookView, type SamplerOptions } from './sampler.ts';
import { StatisticsLook } from './server-statistics.ts';
import { StatementsLook, type TopStatement } from './top-statements.ts';
import type { WaitingSessions } from './wait-load.ts';

/** What the status says of how PostgreSQL is. */
export interface InsightsStatus {
  /** Looks that did not succeed last, with PostgreSQL's words. */
  readonly failing: readonly { readonly look: string; readonly message: string }[];
  /** Sessions at work on average in the last minute, by what they waited for. */
  readonly load?: { readonly sessions: number; readonly waits: readonly WaitingSessions[] } | undefined;
  readonly statements?: readonly TopStatement[];
  /** Why nothing is known of statements. */
  readonly noStatements?: string;
}

/** What the agent knows of how PostgreSQL is, from asking it. */
export class Insights {
  readonly activity: ActivityLook;
  readonly statistics = new StatisticsLook();
  readonly statements = new StatementsLook();
  readonly #sampler: Sampler;

  constructor(options: Omit<SamplerOptions, 'looks'>) {
    this.activity = new ActivityLook(options.clock);
    const looks: readonly Look[] = [this.activity, this.statistics, this.statements];
    this.#sampler = new Sampler({ ...options, looks });
  }

  get looks(): readonly LookView[] {
    return this.#sampler.views;
  }

  get status(): InsightsStatus {
    const { top } = this.statements;
    const waits = this.activity.load.recent;
    const sessions = (waits ?? []).reduce((sum, one) => sum + one.sessions, 0);
    return {
      failing: this.looks.flatMap(({ name, outcome }) =>
        outcome.kind === 'refused' || outcome.kind === 'unanswered' ? [{ look: name, message: outcome.message }] : [],
      ),
      load: waits === undefined ? undefined : { sessions: Math.round(sessions * 1000) / 1000, waits },
      ...(top.kind === 'known' ? { statements: top.statements } : { noStatements: top.why }),
    };
  }

  run(): Promise<void> {
    return this.#sampler.run();
  }

  stop(): void {
    this.#sampler.stop();
  }
}
