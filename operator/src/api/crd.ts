import { clusterSchema } from './schema.ts';
import { API_GROUP, API_VERSION, CLUSTER_KIND, CLUSTER_PLURAL } from './types.ts';

const column = (name: string, type: 'string' | 'integer' | 'date', jsonPath: string, description: string, wide = false) => ({
  name,
  type,
  jsonPath,
  description,
  ...(wide ? { priority: 1 } : {}),
});

/** The CustomResourceDefinition, as deploy/crd.yaml carries it (npm script of this package: generate-deploy). */
export const clusterCrd = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${CLUSTER_PLURAL}.${API_GROUP}`, labels: { 'app.kubernetes.io/name': 'kube-aurora' } },
  spec: {
    group: API_GROUP,
    scope: 'Namespaced',
    names: {
      plural: CLUSTER_PLURAL,
      singular: 'auroracluster',
      kind: CLUSTER_KIND,
      listKind: `${CLUSTER_KIND}List`,
      shortNames: ['ac'],
      categories: ['all'],
    },
    versions: [
      {
        name: API_VERSION,
        served: true,
        storage: true,
        schema: { openAPIV3Schema: clusterSchema },
        subresources: {
          status: {},
          scale: {
            specReplicasPath: '.spec.instances',
            statusReplicasPath: '.status.compute.pods',
            labelSelectorPath: '.status.compute.selector',
          },
        },
        additionalPrinterColumns: [
          column('Phase', 'string', '.status.phase', 'How the cluster is, in one word'),
          column('Writer', 'string', '.status.writer', 'Pod that writes'),
          column('Instances', 'string', '.status.compute.summary', 'Instances that serve, of all'),
          column('Storage', 'string', '.status.storage.summary', 'Segments that are ready, of all'),
          column('Epoch', 'integer', '.status.epoch', 'Volume epoch'),
          column('Age', 'date', '.metadata.creationTimestamp', 'Time since creation'),
          column('Lag', 'string', '.status.compute.lag', 'Lag of the reader that is furthest behind', true),
          column('VDL', 'string', '.status.vdl', 'Volume durable LSN', true),
          column('Size', 'string', '.spec.storage.size', 'Size of each claim', true),
          column('Endpoint', 'string', '.status.endpoints.readWrite', 'Where to connect', true),
          column('Reads', 'string', '.status.endpoints.readOnly', 'Where to connect for reads', true),
          column('Message', 'string', '.status.message', 'The phase as a sentence', true),
        ],
      },
    ],
  },
} as const;
