export { AppendLanes, type LaneMaterial } from './append-lanes.ts';
export { LaneSocket, type Lane, type LaneTerms, type ShownCertificate } from './lane-socket.ts';
export { LANE_MESSAGE_BYTES_MAX, TAKEN, type TakenAppend } from './taken.ts';
