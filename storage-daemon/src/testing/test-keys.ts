import { randomBytes } from 'node:crypto';
import { KeyEncryptionKey, KeyRing, Sealer } from '@kube-aurora/at-rest';
import { sealedPages, type StoredForm } from '../pages/stored-form.ts';
import { sealedBatches, type BatchForm } from '../redo-log/batch-form.ts';
import type { GivenKeys } from '../segment/segment-key.ts';

/** A key that tests know by a number. */
export function testKey(fill: number): KeyEncryptionKey {
  return new KeyEncryptionKey(Buffer.alloc(32, fill));
}

/** The first wraps. */
export function testKeys(current: number, ...others: readonly number[]): GivenKeys {
  return { ring: new KeyRing(testKey(current), others.map(testKey), randomBytes) };
}

/** Of one data key. */
export function testForms(fill = 7): { readonly batches: BatchForm; readonly pages: StoredForm } {
  const sealer = (purpose: 'redo' | 'page' | 'value'): Sealer => new Sealer(Buffer.alloc(32, fill), purpose, randomBytes);
  return { batches: sealedBatches(sealer('redo')), pages: sealedPages({ pages: sealer('page'), values: sealer('value') }) };
}
