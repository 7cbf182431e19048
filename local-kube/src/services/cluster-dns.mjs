// Loaded into every Node process of a pod by NODE_OPTIONS=--import: makes the names of Services and pods resolvable, as
// a cluster's DNS does. Everything else is left to the machine's resolver. Plain JavaScript: any Node may load it.
import dns from 'node:dns';
import { readFileSync, statSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const file = process.env['LOCAL_KUBE_HOSTS'];
const namespace = process.env['LOCAL_KUBE_NAMESPACE'] ?? 'default';

let version = '';
let table = {};

/** The table as it is now; the file is read again only when it has changed. */
function current() {
  try {
    const { mtimeMs, size, ino } = statSync(file);
    const seen = [mtimeMs, size, ino].join('/');
    if (seen !== version) {
      table = JSON.parse(readFileSync(file, 'utf8'));
      version = seen;
    }
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
    table = {};
  }
  return table;
}

/** Addresses of a cluster name; undefined when it is none of the cluster's. An unknown `.svc` name has no address. */
function addressesOf(hostname) {
  const name = hostname
    .toLowerCase()
    .replace(/\.$/, '')
    .replace(/\.cluster\.local$/, '');
  const hosts = current();
  if (name.endsWith('.svc')) return hosts[name] ?? [];
  return hosts[`${name}.${namespace}.svc`] ?? hosts[`${name}.svc`];
}

function notFound(hostname, call) {
  const error = new Error(`${call} ENOTFOUND ${hostname}`);
  return Object.assign(error, { code: 'ENOTFOUND', errno: -3008, syscall: call, hostname });
}

if (file !== undefined) {
  const lookup = dns.lookup;
  const promised = dns.promises.lookup;
  const resolveTxt = dns.promises.resolveTxt;
  const wantsAll = (options) => typeof options === 'object' && options !== null && options.all === true;
  const answer = (addresses, options) => {
    const all = addresses.map((address) => ({ address, family: 4 }));
    return wantsAll(options) ? all : all[Math.floor(Math.random() * all.length)];
  };

  dns.lookup = function clusterLookup(hostname, options, callback) {
    const done = typeof options === 'function' ? options : callback;
    const addresses = typeof hostname === 'string' ? addressesOf(hostname) : undefined;
    if (addresses === undefined) return lookup.apply(dns, arguments);
    process.nextTick(() => {
      if (addresses.length === 0) return done(notFound(hostname, 'getaddrinfo'));
      const found = answer(addresses, options);
      return Array.isArray(found) ? done(null, found) : done(null, found.address, found.family);
    });
    return {};
  };
  dns.promises.lookup = async function clusterLookup(hostname, options) {
    const addresses = typeof hostname === 'string' ? addressesOf(hostname) : undefined;
    if (addresses === undefined) return promised.call(dns.promises, hostname, options);
    if (addresses.length === 0) throw notFound(hostname, 'getaddrinfo');
    return answer(addresses, options);
  };
  // grpc-js asks for a TXT record beside every address; cluster names have none.
  dns.promises.resolveTxt = async function clusterResolveTxt(hostname) {
    if (addressesOf(String(hostname).replace(/^_grpc_config\./, '')) !== undefined) throw notFound(hostname, 'queryTxt');
    return resolveTxt.call(dns.promises, hostname);
  };
  syncBuiltinESMExports();
}
