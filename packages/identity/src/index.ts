export { authorizePeer, type Admission, type Refusal, type RefusalReason } from './admission.ts';
export { readCertificate, readCertificates, type Certificate } from './certificate.ts';
export { identityUri, parseIdentityUri, PROGRAM_ROLES, type Identity, type ProgramRole } from './identity.ts';
export { readPeer, type PeerReading } from './peer.ts';
export {
  authoritiesOf,
  nextRotationStep,
  rotated,
  type Authority,
  type AuthorityState,
  type RotationRules,
  type RotationStep,
} from './rotation.ts';
export { dueAt, isDue, type Validity } from './validity.ts';
