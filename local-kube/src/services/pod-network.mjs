// Loaded into every Node process of a pod by NODE_OPTIONS=--import: what listens on every address (`:7000`) listens on
// the pod's own one, as it would in a pod's network namespace; two pods with the same port do not meet. Plain
// JavaScript: any Node may load it.
import net from 'node:net';

const podAddress = process.env['LOCAL_KUBE_POD_IP'];
const WILDCARDS = new Set([undefined, null, '', '0.0.0.0', '::', '[::]']);

/** Is this the port of a TCP address, and not a path, a handle or a callback? */
function isPort(value) {
  return typeof value === 'number' || (typeof value === 'string' && /^\d+$/.test(value));
}

if (podAddress !== undefined) {
  const listen = Object.getOwnPropertyDescriptor(net.Server.prototype, 'listen').value;
  net.Server.prototype.listen = function listenInPod(...args) {
    const [first, second, ...rest] = args;
    if (isPort(first)) {
      const named = typeof second === 'string' || second === undefined || second === null;
      if (named && WILDCARDS.has(second)) return listen.call(this, first, podAddress, ...rest);
      // `listen(port, backlog or callback …)`: no address was given.
      return named ? listen.apply(this, args) : listen.call(this, first, podAddress, second, ...rest);
    }
    if (typeof first === 'object' && first !== null && isPort(first.port) && WILDCARDS.has(first.host))
      return listen.call(this, { ...first, host: podAddress }, ...args.slice(1));
    return listen.apply(this, args);
  };
}
