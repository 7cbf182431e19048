import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import { stringify } from 'yaml';

/** Prometheus over the system that `npm start` runs. */
export interface PrometheusPlan {
  /** A file of who is to be scraped (scrape-targets.ts). */
  readonly targets: string;
  /** host:port of the operator's metrics. */
  readonly operator: string;
  /** The alerts, a file of rules. */
  readonly rules: string;
  readonly scrapeSeconds: number;
}

/** Where to find it where it is on no PATH. */
const VARIABLE = 'PROMETHEUS';

/** Its program on this machine; undefined when there is none. */
export function findPrometheus(env: NodeJS.ProcessEnv): string | undefined {
  const named = env[VARIABLE];
  const candidates = named === undefined ? (env['PATH'] ?? '').split(':').map((directory) => path.join(directory, 'prometheus')) : [named];
  return candidates.find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      // Not here: perhaps in the next directory.
      return false;
    }
  });
}

export const HOW_TO_GET_PROMETHEUS = `Prometheus is not on this machine: install it (Debian's package prometheus has it), or name its program in ${VARIABLE}`;

/** Its configuration file. */
export function prometheusConfiguration({ targets, operator, rules, scrapeSeconds }: PrometheusPlan): string {
  return stringify({
    global: { scrape_interval: `${scrapeSeconds}s`, scrape_timeout: `${scrapeSeconds}s`, evaluation_interval: `${scrapeSeconds}s` },
    rule_files: [rules],
    scrape_configs: [
      { job_name: 'kube-aurora/kube-aurora', file_sd_configs: [{ files: [targets], refresh_interval: '5s' }] },
      {
        job_name: 'kube-aurora/kube-aurora-operator',
        honor_labels: true,
        static_configs: [{ targets: [operator], labels: { pod: 'operator' } }],
      },
    ],
  });
}

/** Its command line. It keeps a day: this is for looking. */
export function prometheusArguments(configuration: string, dataDirectory: string, listen: string): string[] {
  return [
    `--config.file=${configuration}`,
    `--storage.tsdb.path=${dataDirectory}`,
    '--storage.tsdb.retention.time=1d',
    `--web.listen-address=${listen}`,
    '--log.level=warn',
  ];
}
