/** Of a PEM or another text of several lines, one that is as good as the whole. */
const TELLING_LINE = 40;

/** Names of the secrets that stand in a text, whole or in part: as they are, in base 64, or in hexadecimal. */
export function secretsIn(text: string, secrets: Readonly<Record<string, Buffer>>): string[] {
  return Object.entries(secrets).flatMap(([name, secret]) => {
    const plain = secret.toString('utf8').trim();
    const lines = plain.split('\n').filter((line) => line.length >= TELLING_LINE && !line.startsWith('-----'));
    const forms = [plain, ...lines, secret.toString('base64').replace(/=*$/, ''), secret.toString('hex'), encodeURIComponent(plain)];
    return forms.some((form) => form !== '' && text.includes(form)) ? [name] : [];
  });
}

/** Entries of Secrets that anybody may know. */
const PUBLIC = /^(username|dbname|host(-\w+)?|port|token-(port|audience)|server|mode|(ca|tls)\.crt)$/;

/** What is secret in Secrets, as `kubectl get secrets -o json` gives them, by `SECRET/ENTRY`. */
export function secretEntries(list: string): Record<string, Buffer> {
  const { items } = JSON.parse(list) as {
    items: readonly { metadata: { name: string }; data?: Readonly<Record<string, string>> }[];
  };
  return Object.fromEntries(
    items.flatMap(({ metadata: { name }, data = {} }) =>
      Object.entries(data)
        .filter(([entry]) => !PUBLIC.test(entry))
        .map(([entry, value]) => [`${name}/${entry}`, Buffer.from(value, 'base64')] as const),
    ),
  );
}
