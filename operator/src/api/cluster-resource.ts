import { resource } from '../kube/resources.ts';
import { API_GROUP, API_VERSION, CLUSTER_PLURAL } from './types.ts';

/** Where AuroraClusters are at the API server. */
export const CLUSTERS = resource(`/apis/${API_GROUP}/${API_VERSION}`, CLUSTER_PLURAL, 'Namespaced', [
  'list',
  'watch',
  'patch',
  'patch-status',
]);
