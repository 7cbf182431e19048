import { Sealer, WrappedKeyError, type KeyRing, type Purpose, type Wrapped } from '@kube-aurora/at-rest';
import { KeyUnusableError } from '../disk/key-unusable-error.ts';
import { PLAIN_PAGES, sealedPages, type StoredForm } from '../pages/stored-form.ts';
import { PLAIN_BATCHES, sealedBatches, type BatchForm } from '../redo-log/batch-form.ts';
import type { SegmentControl } from './control-file.ts';
import type { CurrentControl } from './current-control.ts';

/**
 * How what a segment holds stands on disk, and by which key.
 *
 * A segment has a data key of its own, random, made when it is; it stands in the control file, wrapped by a key that somebody else
 * keeps. Nobody else has it: peers give one another what they hold through their connections, and each seals it for itself. So a copy
 * that is lost takes its key with it, and no key has to be found again to make it anew.
 *
 * Invariants: a segment that has content is sealed all of it or not at all, for as long as it lives; with a key that is not the one
 * that it needs nothing of it is opened, cut off, or written.
 */
export interface SegmentForms {
  readonly batches: BatchForm;
  readonly pages: StoredForm;
}

/** Of segments without a data key. */
export const PLAIN_FORMS: SegmentForms = { batches: PLAIN_BATCHES, pages: PLAIN_PAGES };

/** Whose data key it is: for no other volume does it unwrap. */
export function ownerOf({ volumeId, pg }: Pick<SegmentControl, 'volumeId' | 'pg'>): string {
  return `${volumeId}/${pg}`;
}

/** The keys that a daemon was given, as they stand. */
export interface GivenKeys {
  readonly ring: KeyRing;
}

/** A data key for a segment that has no content yet; undefined where nothing is to be sealed. */
export function freshKey(keys: GivenKeys | undefined, of: Pick<SegmentControl, 'volumeId' | 'pg'>): Wrapped | undefined {
  return keys?.ring.make(ownerOf(of)).wrapped;
}

export class SegmentKey {
  readonly #control: CurrentControl;
  readonly #given: GivenKeys | undefined;
  /** Once it was unwrapped. It is in memory alone. */
  #dataKey: Buffer | undefined;
  #forms: SegmentForms | undefined;

  constructor(control: CurrentControl, given: GivenKeys | undefined) {
    this.#control = control;
    this.#given = given;
  }

  /** Throws KeyUnusableError. */
  get forms(): SegmentForms {
    return (this.#forms ??= this.#open());
  }

  #open(): SegmentForms {
    const { encryption, ready } = this.#control.value;
    if (encryption === undefined) {
      if (this.#given === undefined || !ready) return PLAIN_FORMS;
      throw new KeyUnusableError(
        'it was made without encryption, and the daemon is given a key: a volume that is there cannot be encrypted',
      );
    }
    if (this.#given === undefined)
      throw new KeyUnusableError(`it is encrypted, its data key wrapped by key ${encryption.wrappedBy}, and the daemon is given no key`);
    const { ring } = this.#given;
    const dataKey = this.#unwrap(ring, encryption);
    const sealer = (purpose: Purpose): Sealer => new Sealer(dataKey, purpose, ring.random);
    this.#dataKey = dataKey;
    return { batches: sealedBatches(sealer('redo')), pages: sealedPages({ pages: sealer('page'), values: sealer('value') }) };
  }

  #unwrap(ring: KeyRing, encryption: Wrapped): Buffer {
    try {
      return ring.unwrap(encryption, ownerOf(this.#control.value));
    } catch (error) {
      if (error instanceof WrappedKeyError) throw new KeyUnusableError(`its data key cannot be unwrapped: ${error.message}`);
      throw error;
    }
  }

  /**
   * Has the key that wraps now wrap the data key, where another one does: durable when it resolves. Gives whether it was done. What is
   * sealed stays as it is. Throws KeyUnusableError.
   */
  async rewrap(): Promise<boolean> {
    const ring = this.#given?.ring;
    const isDue = (encryption: Wrapped | undefined): encryption is Wrapped =>
      encryption !== undefined && ring?.isOutdated(encryption) === true;
    if (ring === undefined || !isDue(this.#control.value.encryption)) return false;
    return this.#control.exclusive(async () => {
      const { encryption } = this.#control.value;
      if (!isDue(encryption)) return false;
      const dataKey = this.#dataKey ?? this.#unwrap(ring, encryption);
      await this.#control.save({ encryption: ring.wrap(dataKey, ownerOf(this.#control.value)) });
      return true;
    });
  }
}
