// Made from proto/*.proto by `npm run proto:generate`: change those, not this.

import type { MessageTable, ServiceTable } from './message-table.ts';
import type { Messages } from './messages.ts';

/** The fields of every message, by ascending number. */
export const MESSAGE_TABLES: { readonly [name in keyof Messages]: MessageTable } = {
  SegmentId: [
    { number: 1, name: 'volumeId', kind: 'string' },
    { number: 2, name: 'pg', kind: 'uint32' },
  ],
  VolumeEngine: [
    { number: 1, name: 'engine', kind: 'string' },
    { number: 2, name: 'major', kind: 'uint32' },
  ],
  EpochStart: [
    { number: 1, name: 'epoch', kind: 'fixed64' },
    { number: 2, name: 'startLsn', kind: 'fixed64' },
  ],
  SegmentFault: [
    {
      number: 1,
      name: 'kind',
      kind: 'enum',
      values: {
        UNKNOWN: 0,
        DAMAGED_DATA: 1,
        REDO_FAILED: 2,
        LOST_REDO: 3,
        HISTORY_REFUSED: 4,
        DISK_FULL: 5,
        DISK_ERROR: 6,
        ENGINE_UNKNOWN: 7,
      },
    },
    { number: 2, name: 'part', kind: 'string' },
    { number: 3, name: 'lsn', kind: 'fixed64' },
    { number: 4, name: 'record', kind: 'string' },
    { number: 5, name: 'page', kind: 'string' },
    { number: 6, name: 'heldLsn', kind: 'fixed64' },
    { number: 7, name: 'epoch', kind: 'fixed64' },
    { number: 8, name: 'startLsn', kind: 'fixed64' },
    { number: 9, name: 'durableLsn', kind: 'fixed64' },
    { number: 10, name: 'freeBytes', kind: 'fixed64' },
    { number: 11, name: 'neededBytes', kind: 'fixed64' },
    { number: 12, name: 'error', kind: 'string' },
    { number: 13, name: 'operation', kind: 'string' },
    { number: 14, name: 'engine', kind: 'message', message: 'VolumeEngine', repeated: false, optional: true },
  ],
  SegmentState: [
    { number: 1, name: 'phase', kind: 'enum', values: { EMPTY: 0, IMPORTING: 1, READY: 2, DAMAGED: 3 } },
    { number: 2, name: 'epoch', kind: 'fixed64' },
    { number: 3, name: 'scl', kind: 'fixed64' },
    { number: 4, name: 'lastBatchEpoch', kind: 'fixed64' },
    { number: 5, name: 'baseEpoch', kind: 'fixed64' },
    { number: 6, name: 'baseLsn', kind: 'fixed64' },
    { number: 7, name: 'appliedLsn', kind: 'fixed64' },
    { number: 8, name: 'vdl', kind: 'fixed64' },
    { number: 9, name: 'logStartLsn', kind: 'fixed64' },
    { number: 10, name: 'systemIdentifier', kind: 'fixed64' },
    { number: 11, name: 'history', kind: 'message', message: 'EpochStart', repeated: true },
    { number: 12, name: 'message', kind: 'string' },
    { number: 13, name: 'daemonId', kind: 'string' },
    { number: 14, name: 'zone', kind: 'string' },
    { number: 15, name: 'pgmrpl', kind: 'fixed64' },
    { number: 16, name: 'bytesUsed', kind: 'fixed64' },
    { number: 17, name: 'fault', kind: 'message', message: 'SegmentFault', repeated: false, optional: true },
    { number: 18, name: 'recoverToLsn', kind: 'fixed64' },
    { number: 19, name: 'engine', kind: 'message', message: 'VolumeEngine', repeated: false, optional: true },
    { number: 20, name: 'role', kind: 'enum', values: { FULL: 0, TAIL: 1 } },
    { number: 21, name: 'checkpointLsn', kind: 'fixed64' },
    { number: 22, name: 'logStartEpoch', kind: 'fixed64' },
  ],
  OpenEpochRequest: [
    { number: 1, name: 'segment', kind: 'message', message: 'SegmentId', repeated: false },
    { number: 2, name: 'epoch', kind: 'fixed64' },
    { number: 3, name: 'writerId', kind: 'string' },
    { number: 4, name: 'role', kind: 'enum', values: { FULL: 0, TAIL: 1 } },
  ],
  InstallHistoryRequest: [
    { number: 1, name: 'segment', kind: 'message', message: 'SegmentId', repeated: false },
    { number: 2, name: 'epoch', kind: 'fixed64' },
    { number: 3, name: 'history', kind: 'message', message: 'EpochStart', repeated: true },
  ],
  CatchUpRequest: [
    { number: 1, name: 'segment', kind: 'message', message: 'SegmentId', repeated: false },
    { number: 2, name: 'lsn', kind: 'fixed64' },
  ],
  ComputeImageRequest: [
    { number: 1, name: 'segment', kind: 'message', message: 'SegmentId', repeated: false },
    { number: 2, name: 'epoch', kind: 'fixed64' },
    { number: 3, name: 'lsn', kind: 'fixed64' },
  ],
  ComputeImageChunk: [
    { number: 1, name: 'volumeState', kind: 'bytes' },
    { number: 2, name: 'stateComplete', kind: 'bool' },
    { number: 3, name: 'slruPages', kind: 'message', message: 'PageImage', repeated: true },
  ],
  PageImage: [
    { number: 1, name: 'key', kind: 'bytes' },
    { number: 2, name: 'page', kind: 'bytes' },
  ],
  ImportBaseRequest: [
    { number: 1, name: 'begin', kind: 'message', message: 'ImportBegin', repeated: false, optional: true },
    { number: 2, name: 'pages', kind: 'message', message: 'PageImage', repeated: true },
    { number: 3, name: 'finish', kind: 'bool' },
  ],
  ImportBegin: [
    { number: 1, name: 'segment', kind: 'message', message: 'SegmentId', repeated: false },
    { number: 2, name: 'epoch', kind: 'fixed64' },
    { number: 3, name: 'baseLsn', kind: 'fixed64' },
    { number: 4, name: 'systemIdentifier', kind: 'fixed64' },
    { number: 5, name: 'volumeState', kind: 'bytes' },
    { number: 6, name: 'engine', kind: 'message', message: 'VolumeEngine', repeated: false, optional: true },
    { number: 7, name: 'role', kind: 'enum', values: { FULL: 0, TAIL: 1 } },
  ],
  GossipRequest: [
    { number: 1, name: 'segment', kind: 'message', message: 'SegmentId', repeated: false },
    { number: 2, name: 'state', kind: 'message', message: 'SegmentState', repeated: false },
  ],
  FetchRedoRequest: [
    { number: 1, name: 'segment', kind: 'message', message: 'SegmentId', repeated: false },
    { number: 2, name: 'fromLsn', kind: 'fixed64' },
    { number: 3, name: 'fromEpoch', kind: 'fixed64' },
    { number: 4, name: 'toLsn', kind: 'fixed64' },
  ],
  RedoChunk: [{ number: 1, name: 'batches', kind: 'bytes' }],
  CopySegmentRequest: [{ number: 1, name: 'segment', kind: 'message', message: 'SegmentId', repeated: false }],
  CopySegmentChunk: [
    { number: 1, name: 'state', kind: 'message', message: 'SegmentState', repeated: false, optional: true },
    { number: 2, name: 'values', kind: 'message', message: 'StoredValue', repeated: true },
  ],
  StoredValue: [
    { number: 1, name: 'key', kind: 'bytes' },
    { number: 2, name: 'value', kind: 'bytes' },
  ],
  GetPeerPageRequest: [
    { number: 1, name: 'segment', kind: 'message', message: 'SegmentId', repeated: false },
    { number: 2, name: 'key', kind: 'bytes' },
    { number: 3, name: 'lsn', kind: 'fixed64' },
  ],
};

export const SERVICE_TABLES = {
  SegmentService: {
    OpenEpoch: {
      path: '/kubeaurora.v1.SegmentService/OpenEpoch',
      request: 'OpenEpochRequest',
      requestStream: false,
      response: 'SegmentState',
      responseStream: false,
    },
    InstallHistory: {
      path: '/kubeaurora.v1.SegmentService/InstallHistory',
      request: 'InstallHistoryRequest',
      requestStream: false,
      response: 'SegmentState',
      responseStream: false,
    },
    CatchUp: {
      path: '/kubeaurora.v1.SegmentService/CatchUp',
      request: 'CatchUpRequest',
      requestStream: false,
      response: 'SegmentState',
      responseStream: false,
    },
    ComputeImage: {
      path: '/kubeaurora.v1.SegmentService/ComputeImage',
      request: 'ComputeImageRequest',
      requestStream: false,
      response: 'ComputeImageChunk',
      responseStream: true,
    },
    ImportBase: {
      path: '/kubeaurora.v1.SegmentService/ImportBase',
      request: 'ImportBaseRequest',
      requestStream: true,
      response: 'SegmentState',
      responseStream: false,
    },
    Status: {
      path: '/kubeaurora.v1.SegmentService/Status',
      request: 'SegmentId',
      requestStream: false,
      response: 'SegmentState',
      responseStream: false,
    },
  },
  PeerService: {
    Gossip: {
      path: '/kubeaurora.v1.PeerService/Gossip',
      request: 'GossipRequest',
      requestStream: false,
      response: 'SegmentState',
      responseStream: false,
    },
    FetchRedo: {
      path: '/kubeaurora.v1.PeerService/FetchRedo',
      request: 'FetchRedoRequest',
      requestStream: false,
      response: 'RedoChunk',
      responseStream: true,
    },
    CopySegment: {
      path: '/kubeaurora.v1.PeerService/CopySegment',
      request: 'CopySegmentRequest',
      requestStream: false,
      response: 'CopySegmentChunk',
      responseStream: true,
    },
    GetPeerPage: {
      path: '/kubeaurora.v1.PeerService/GetPeerPage',
      request: 'GetPeerPageRequest',
      requestStream: false,
      response: 'PageImage',
      responseStream: false,
    },
  },
} as const satisfies Record<string, ServiceTable>;
