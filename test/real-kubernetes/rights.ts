/** Which of the operator's rights it used, by an API server's audit log: none should be unused, and none refused. */

export interface PolicyRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

/** What is of use here of an audit.k8s.io/v1 Event. */
export interface AuditEvent {
  readonly verb?: string;
  readonly user?: { readonly username?: string };
  readonly objectRef?: { readonly apiGroup?: string; readonly resource?: string; readonly subresource?: string };
  readonly responseStatus?: { readonly code?: number };
}

export interface RightsUsed {
  /** `GROUP/RESOURCE VERB`, as are the others. */
  readonly unused: readonly string[];
  readonly refused: readonly string[];
  readonly used: readonly string[];
}

const FORBIDDEN = 403;

/** One JSON object a line; the last one may be cut off. */
export function parseAuditLog(text: string): readonly AuditEvent[] {
  return text.split('\n').flatMap((line) => {
    try {
      return line === '' ? [] : [JSON.parse(line) as AuditEvent];
    } catch (error) {
      // It is being written.
      if (error instanceof SyntaxError) return [];
      throw error;
    }
  });
}

/** Patches that make an object are checked as creations too; the log has them as patches that were answered 201. */
function rightsOf({ verb = '', objectRef = {}, responseStatus = {} }: AuditEvent): readonly string[] {
  const { apiGroup = '', resource = '', subresource } = objectRef;
  const what = `${apiGroup}/${resource}${subresource === undefined ? '' : `/${subresource}`}`;
  return verb === 'patch' && responseStatus.code === 201 ? [`${what} patch`, `${what} create`] : [`${what} ${verb}`];
}

export function rightsUsed(rules: readonly PolicyRule[], events: readonly AuditEvent[], user: string): RightsUsed {
  const granted = rules.flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) => resources.flatMap((resource) => verbs.map((verb) => `${group}/${resource} ${verb}`))),
  );
  const own = events.filter((event) => event.user?.username === user && event.objectRef?.resource !== undefined);
  const used = new Set(own.filter((event) => event.responseStatus?.code !== FORBIDDEN).flatMap(rightsOf));
  const refused = new Set(own.filter((event) => event.responseStatus?.code === FORBIDDEN).flatMap(rightsOf));
  return {
    unused: granted.filter((right) => !used.has(right)).toSorted(),
    refused: [...refused].toSorted(),
    used: [...used].toSorted(),
  };
}
