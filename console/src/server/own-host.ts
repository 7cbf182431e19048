/** Whether an address is this machine's alone. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/**
 * Whether a request means us. A page of a stranger's can have its name lead to 127.0.0.1 and then ask for whatever listens here as if it was
 * its own; but the browser still sends that name. So at an address of this machine alone only names of this machine are answered. Anywhere
 * else names are many (Services, proxies), and a token is asked for.
 */
export function isOwnHost(hostHeader: string | undefined, listensOn: string): boolean {
  if (!isLoopback(listensOn)) return true;
  const name = /^(?:\[([0-9a-fA-F:]+)\]|([^:]*))(?::\d{1,5})?$/.exec(hostHeader ?? '');
  return name !== null && isLoopback((name[1] ?? name[2] ?? '').toLowerCase());
}
