import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { defineConfig } from 'vitepress';

const DOCS = path.resolve(import.meta.dirname, '..');

/** The decisions in the order of their numbers, with the titles that their pages have. */
function decisions(): { text: string; link: string }[] {
  return readdirSync(path.join(DOCS, 'decisions'))
    .filter((name) => /^\d{4}-.*\.md$/.test(name))
    .toSorted((a, b) => a.localeCompare(b))
    .map((name) => {
      const title = /^# (.*)$/m.exec(readFileSync(path.join(DOCS, 'decisions', name), 'utf8'));
      return { text: title?.[1] ?? name, link: `/decisions/${name.replace(/\.md$/, '')}` };
    });
}

export default defineConfig({
  title: 'kube-aurora',
  description: 'An open Amazon Aurora for Kubernetes: stock PostgreSQL on a six-copy, three-zone volume',
  cleanUrls: true,
  lastUpdated: false,
  // Its highlighter does not know PromQL.
  markdown: { languageAlias: { promql: 'txt' } },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    nav: [
      { text: 'Get started', link: '/getting-started' },
      { text: 'Failure modes', link: '/failure-modes' },
      { text: 'Reference', link: '/reference/auroracluster' },
    ],
    sidebar: [
      {
        text: 'Using it',
        items: [
          { text: 'Getting started', link: '/getting-started' },
          { text: 'Connections', link: '/connections' },
          { text: 'Install', link: '/install' },
          { text: 'Concepts', link: '/concepts' },
          { text: 'Operations', link: '/operations' },
          { text: 'kubectl aurora', link: '/kubectl-aurora' },
          { text: 'Console', link: '/console' },
          { text: 'Monitoring', link: '/monitoring' },
          { text: 'Security', link: '/security' },
          { text: 'Images', link: '/images' },
          { text: 'Readers', link: '/readers' },
          { text: 'Failover', link: '/failover' },
          { text: 'Consistency', link: '/consistency' },
          { text: 'Failure modes', link: '/failure-modes' },
          { text: 'Differences from PostgreSQL', link: '/differences' },
        ],
      },
      {
        text: 'Reference',
        items: [
          { text: 'AuroraCluster', link: '/reference/auroracluster' },
          { text: 'Helm chart', link: '/reference/chart' },
          { text: 'PostgreSQL settings', link: '/reference/postgresql-settings' },
          { text: 'Metrics', link: '/reference/metrics' },
          { text: 'Logs', link: '/reference/logs' },
          { text: 'Glossary', link: '/glossary' },
        ],
      },
      {
        text: 'Runbooks',
        items: [
          { text: 'The cluster', link: '/runbooks/cluster' },
          { text: 'Storage', link: '/runbooks/storage' },
          { text: 'The database', link: '/runbooks/database' },
          { text: 'Certificates', link: '/runbooks/identity' },
        ],
      },
      {
        text: 'How it works',
        items: [
          { text: 'Protocol', link: '/protocol' },
          { text: 'Simulation', link: '/simulation' },
          { text: 'Who imports whom', link: '/dependencies' },
        ],
      },
      { text: 'Decisions', collapsed: true, items: decisions() },
    ],
  },
});
