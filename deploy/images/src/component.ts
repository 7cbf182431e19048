/** A piece of software in an image, for its bill of materials. */
export interface Component {
  readonly type: 'application' | 'library' | 'file';
  readonly name: string;
  readonly version?: string;
  /** Its package URL, by which scanners know it. */
  readonly purl?: string;
  /** SPDX expressions as its makers state them. */
  readonly license?: string;
  readonly hash?: { readonly algorithm: 'SHA-256' | 'SHA-512'; readonly hex: string };
  readonly description?: string;
}
