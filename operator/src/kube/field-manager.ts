/** Who we are to the API server: owner of the fields that we apply, reporter of our events. */
export const FIELD_MANAGER = 'kube-aurora-operator';
