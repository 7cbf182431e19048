declare const KUBECTL_AURORA_VERSION: string | undefined;

/** The release, put in when the program is bundled. */
export const VERSION = typeof KUBECTL_AURORA_VERSION === 'string' ? KUBECTL_AURORA_VERSION : 'development';
