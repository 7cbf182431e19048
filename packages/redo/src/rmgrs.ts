import { resourceManagers } from '@kube-aurora/pg-format';

/** This package is the redo of PostgreSQL 18: records are what its resource managers make of them. */
export const RMGRS = resourceManagers(18);
