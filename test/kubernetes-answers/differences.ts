/**
 * Where local-kube answers otherwise than Kubernetes, and why that is left so. The exit code is the same unless it is
 * given here.
 */
const PATCH_SAYS_MORE = 'Kubernetes does not say which operation of a JSON patch failed; local-kube does';
const TYPES =
  'Kubernetes decodes built-in kinds into Go structures and reports in their words; local-kube checks the schema and names the field';

export const DIFFERENCES: { readonly [step: string]: { readonly why: string; readonly code?: number } } = {
  'patch configmap words json [{"op":"test","path":"/data/a","value":"z"}]': { why: PATCH_SAYS_MORE },
  'patch configmap words json [{"op":"remove","path":"/data/none"}]': { why: PATCH_SAYS_MORE },
  'patch configmap words merge {"data":{"a":1}}': { why: TYPES },
  'apply a wrong type': { why: TYPES },
  'get priorityclass answers-high -o json': { why: 'PriorityClasses have no effect here, and their changes are not counted' },
  'apply a widget with a bad code': { why: 'all that is wrong with a text is told at once' },
};
