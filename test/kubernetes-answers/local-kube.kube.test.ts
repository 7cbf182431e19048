import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestCluster, type TestCluster } from '../../local-kube/src/testing/cluster.ts';
import { kubectlPath } from '../../scripts/kubectl.mjs';
import { DIFFERENCES } from './differences.ts';
import type { Answer } from './normalised.ts';
import { play } from './play.ts';
import { STEPS } from './steps.ts';

const { answers: real } = JSON.parse(readFileSync(new URL('answers.json', import.meta.url), 'utf8')) as {
  answers: { [step: string]: Answer };
};

/**
 * The same commands as were given to a real API server (record.ts); the answers have to be the same, but for the known
 * differences.
 */
describe('local-kube answers as Kubernetes does', () => {
  let cluster: TestCluster;
  let own: { [step: string]: Answer };
  beforeAll(async () => {
    cluster = await startTestCluster({ runPods: false });
    own = await play(kubectlPath({ own: true }), cluster.kube.kubeconfig, STEPS);
  }, 240_000);
  afterAll(() => cluster.stop());

  it('to the same steps', () => {
    expect(Object.keys(own)).toEqual(Object.keys(real));
  });

  it.each(Object.keys(real))('%s', (step) => {
    const difference = DIFFERENCES[step];
    if (difference === undefined) expect(own[step]).toEqual(real[step]);
    else {
      expect(own[step], `it is the same by now: take '${step}' off the list of differences`).not.toEqual(real[step]);
      expect(own[step]?.code).toBe(difference.code ?? real[step]?.code);
    }
  });
});
