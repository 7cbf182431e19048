import type { Resource } from '../kube/resources.ts';
import { API_GROUP, API_VERSION, CLUSTER_PLURAL } from './types.ts';

/** Where AuroraClusters are at the API server. */
export const CLUSTERS: Resource = { root: `/apis/${API_GROUP}/${API_VERSION}`, plural: CLUSTER_PLURAL, namespaced: true };
