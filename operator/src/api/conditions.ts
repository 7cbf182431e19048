/** How a cluster is, in one word; the conditions say why. */
export const PHASES = [
  'Creating', // storage pods are coming up for the first time
  'Bootstrapping', // the writer makes the first database
  'Opening', // the writer opens the volume
  'Ready', // reads and writes go on, all six segments are there
  'Degraded', // reads and writes go on, but a segment or a reader is missing
  'Updating', // pods are being replaced because the spec or an image changed, or readers are on their way
  'WriterUnavailable', // storage has a quorum, but no writer runs
  'QuorumLost', // fewer than four segments: writes wait
  'Blocked', // going on could lose data or take what is not ours: a person must decide
  'Deleting',
] as const;
export type Phase = (typeof PHASES)[number];

export const CONDITION_TYPES = [
  'Ready',
  'SpecAccepted',
  'StorageQuorum',
  'StorageRedundant',
  'WriterAvailable',
  'ReadersAvailable',
  'UpToDate',
  'CredentialsApplied',
  'ReplicationSlotsKept',
  'Managed',
  'CertificatesValid',
  // Of clusters with spec.storage.encryption alone.
  'DataEncrypted',
  // Of clusters with spec.postgresql.logins alone.
  'TokenLoginsReady',
] as const;
export type ConditionType = (typeof CONDITION_TYPES)[number];

export const CONDITION_REASONS = [
  'AllGood',
  'Creating',
  'Bootstrapping',
  'OpeningVolume',
  'SpecInvalid',
  'ParameterNotAllowed',
  'ParameterRefused',
  'LoginRulesRefused',
  'TokenLoginsUnavailable',
  'TokenLoginsStarting',
  'BootstrapRefused',
  'SegmentsMissing',
  'SegmentDamaged',
  'DiskFull',
  'DiskError',
  'QuorumLost',
  'WriterStarting',
  'WriterLost',
  'WriterFenced',
  'WriterReplaced',
  'ReadersStarting',
  'ReadersLagging',
  'ReaderLost',
  'PostgresFailed',
  'SettingsRefused',
  'WalDamaged',
  'EngineMismatch',
  'RolesMismatch',
  'VolumeMissing',
  'Unschedulable',
  'CacheVolumePending',
  'ImageUnavailable',
  'PodsOutdated',
  'StorageGrowing',
  'FieldIgnored',
  'DataLossRisk',
  'NameConflict',
  'SecretMissing',
  'PasswordNotApplied',
  'CertificateTrouble',
  'CertificatesRotating',
  'EncryptionKeyTrouble',
  'EncryptionKeyRotating',
  'RequestRefused',
  'Paused',
  'DeletionProtected',
  'ReplicationSlotsLost',
  'Deleting',
] as const;
export type ConditionReason = (typeof CONDITION_REASONS)[number];

/** As in metav1.Condition; messages say what to do when something is to be done. */
export interface Condition {
  readonly type: ConditionType;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: ConditionReason;
  readonly message: string;
  readonly observedGeneration: number;
  /** RFC 3339. */
  readonly lastTransitionTime: string;
}
