/** For each alert a fault, as its metrics show it, and its end: promtool says whether the alert fires for it and stops. */

export interface AlertCase {
  readonly alert: string;
  /** Series in promtool's notation: a value a minute. The fault begins after 10 minutes and is mended after `mendedAfter`. */
  readonly series: Readonly<Record<string, string>>;
  /** Minutes from the start on. */
  readonly firesBy: number;
  /** Not yet; undefined for one that waits for nothing. */
  readonly quietAt?: number;
  readonly overBy: number;
}

const CLUSTER = 'namespace="default", cluster="demo"';
const POD = 'namespace="default", pod="demo-1", kube_aurora_dev_cluster="demo"';
const STORAGE = 'namespace="default", pod="demo-storage-0"';

/** Well for 10 minutes, wrong for `minutes`, well again. */
const wrong = (well: number, ill: number, minutes: number): string => `${well}x9 ${ill}x${minutes - 1} ${well}x120`;
/** A counter that stands, grows each minute, and stands again. */
const counts = (each: number, minutes: number): string => `0x9 0+${each}x${minutes} ${each * minutes}x120`;

export const CASES: readonly AlertCase[] = [
  {
    alert: 'AuroraWriterUnavailable',
    series: { [`aurora_cluster_instance_serving{${CLUSTER}, instance="demo-1", role="writer"}`]: wrong(1, 0, 5) },
    quietAt: 10,
    firesBy: 12,
    overBy: 16,
  },
  {
    alert: 'AuroraWriterUnsteady',
    series: { [`aurora_cluster_epoch{${CLUSTER}}`]: '1x9 2 3 4 5 6x120' },
    quietAt: 12,
    firesBy: 14,
    overBy: 40,
  },
  {
    alert: 'AuroraFailedOver',
    series: {
      [`aurora_failovers_total{${POD}, reason="silent"}`]: '0x9 1x120',
      [`aurora_failovers_total{${POD}, reason="switchover"}`]: '0x4 1x120',
    },
    quietAt: 9,
    firesBy: 11,
    overBy: 25,
  },
  {
    alert: 'AuroraSwitchoverFailed',
    series: { [`aurora_cluster_switchovers_total{${CLUSTER}, cause="requested", outcome="Failed"}`]: '0x9 1x120' },
    quietAt: 9,
    firesBy: 11,
    overBy: 30,
  },
  {
    alert: 'AuroraReaderUnavailable',
    series: { [`aurora_cluster_instance_serving{${CLUSTER}, instance="demo-2", role="reader"}`]: wrong(1, 0, 10) },
    quietAt: 13,
    firesBy: 16,
    overBy: 21,
  },
  {
    alert: 'AuroraReaderLagging',
    series: { [`aurora_cluster_reader_lag_seconds{${CLUSTER}, instance="demo-2"}`]: wrong(0.01, 30, 10) },
    quietAt: 13,
    firesBy: 16,
    overBy: 21,
  },
  {
    alert: 'AuroraOperatorIdle',
    series: { 'aurora_operator_leading{pod="kube-aurora-1"}': wrong(1, 0, 10) },
    quietAt: 13,
    firesBy: 16,
    overBy: 21,
  },
  {
    alert: 'AuroraOperatorFails',
    series: { 'aurora_operator_reconcile_errors_total{pod="kube-aurora-1"}': counts(3, 40) },
    quietAt: 30,
    firesBy: 45,
    overBy: 65,
  },
  {
    alert: 'AuroraQuorumLost',
    series: { [`aurora_cluster_phase{${CLUSTER}, phase="QuorumLost"}`]: wrong(0, 1, 5) },
    firesBy: 12,
    quietAt: 9,
    overBy: 16,
  },
  {
    alert: 'AuroraSegmentMissing',
    series: { [`aurora_cluster_segments_ready{${CLUSTER}}`]: wrong(6, 5, 20) },
    quietAt: 20,
    firesBy: 26,
    overBy: 31,
  },
  {
    alert: 'AuroraSegmentDamaged',
    series: { [`aurora_storage_damaged{${STORAGE}}`]: wrong(0, 1, 10) },
    quietAt: 13,
    firesBy: 16,
    overBy: 21,
  },
  {
    alert: 'AuroraStoredDataDamaged',
    series: { [`aurora_storage_corruptions_detected_total{${STORAGE}, kind="page"}`]: '0x9 1x120' },
    quietAt: 9,
    firesBy: 11,
    overBy: 80,
  },
  {
    alert: 'AuroraDiskTakesNoRedo',
    series: { [`aurora_storage_unwritable{${STORAGE}}`]: wrong(0, 1, 5) },
    quietAt: 10,
    firesBy: 12,
    overBy: 16,
  },
  {
    alert: 'AuroraDiskNearlyFull',
    series: { [`aurora_storage_disk_bytes{${STORAGE}}`]: '100x300', [`aurora_storage_disk_free_bytes{${STORAGE}}`]: wrong(60, 9, 20) },
    quietAt: 20,
    firesBy: 26,
    overBy: 31,
  },
  {
    alert: 'AuroraDiskFullSoon',
    // 40 of 100 GB are free and 1 GB goes each hour; then the disk is grown.
    series: {
      [`aurora_storage_disk_bytes{${STORAGE}}`]: '100e9x600 1000e9x600',
      [`aurora_storage_disk_free_bytes{${STORAGE}}`]: '48e9-16e6x600 900e9x600',
    },
    quietAt: 30,
    firesBy: 200,
    overBy: 610,
  },
  {
    alert: 'AuroraCommitsSlow',
    series: {
      [`aurora_flush_seconds_bucket{${POD}, le="0.1"}`]: '0+60x9 540x20 540+60x120',
      [`aurora_flush_seconds_bucket{${POD}, le="1"}`]: '0+60x150',
      [`aurora_flush_seconds_bucket{${POD}, le="+Inf"}`]: '0+60x150',
    },
    quietAt: 18,
    firesBy: 25,
    overBy: 60,
  },
  {
    alert: 'AuroraTransactionIdsAge',
    series: { [`aurora_xid_age{${POD}}`]: wrong(2e8, 1.2e9, 30), [`aurora_multixact_age{${POD}}`]: '1e6x200' },
    quietAt: 20,
    firesBy: 26,
    overBy: 41,
  },
  {
    alert: 'AuroraTransactionIdsRunOut',
    series: { [`aurora_xid_age{${POD}}`]: wrong(2e8, 1.9e9, 10), [`aurora_multixact_age{${POD}}`]: '1e6x200' },
    quietAt: 9,
    firesBy: 10,
    overBy: 21,
  },
  {
    alert: 'AuroraLongTransaction',
    series: { [`aurora_oldest_transaction_seconds{${POD}}`]: wrong(2, 4000, 10) },
    quietAt: 13,
    firesBy: 16,
    overBy: 21,
  },
  {
    alert: 'AuroraIdleInTransaction',
    series: { [`aurora_idle_in_transaction_seconds{${POD}}`]: wrong(0, 1000, 10) },
    quietAt: 13,
    firesBy: 16,
    overBy: 21,
  },
  {
    alert: 'AuroraConnectionsNearLimit',
    series: {
      [`aurora_connections{${POD}, state="idle"}`]: wrong(10, 90, 10),
      [`aurora_connections{${POD}, state="active"}`]: '4x200',
      [`aurora_connections_limit{${POD}}`]: '97x200',
    },
    quietAt: 13,
    firesBy: 16,
    overBy: 21,
  },
  {
    alert: 'AuroraSlotHoldsWal',
    series: { [`aurora_slot_retained_bytes{${POD}, slot="cdc", active="false"}`]: wrong(1e6, 6e9, 20) },
    quietAt: 20,
    firesBy: 26,
    overBy: 31,
  },
  {
    alert: 'AuroraLoadAboveCores',
    series: {
      [`aurora_load_session_seconds_total{${POD}, type="CPU", event="CPU"}`]: counts(300, 40),
      [`aurora_load_session_seconds_total{${POD}, type="IO", event="WalSync"}`]: counts(60, 40),
      [`aurora_cpu_cores_limit{${POD}}`]: '2x200',
    },
    quietAt: 20,
    firesBy: 35,
    overBy: 65,
  },
  {
    alert: 'AuroraInsightsFail',
    series: { [`aurora_insights_up{${POD}, look="activity"}`]: wrong(1, 0, 20) },
    quietAt: 20,
    firesBy: 26,
    overBy: 31,
  },
  {
    alert: 'AuroraCertificateEnding',
    // Promtool's clock begins at 1970.
    series: { [`aurora_tls_certificate_expires_seconds{${POD}}`]: wrong(7e6, 1e6, 80) },
    quietAt: 60,
    firesBy: 71,
    overBy: 91,
  },
  {
    alert: 'AuroraCertificatesUnusable',
    series: { [`aurora_tls_material_unusable{${POD}}`]: wrong(0, 1, 20) },
    quietAt: 13,
    firesBy: 16,
    overBy: 31,
  },
  {
    alert: 'AuroraConnectionsRefused',
    series: { [`aurora_tls_refused_connections_total{${STORAGE}, part="frames", reason="other-cluster", side="caller"}`]: counts(3, 20) },
    quietAt: 13,
    firesBy: 18,
    overBy: 45,
  },
];
