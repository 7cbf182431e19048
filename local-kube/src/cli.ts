import { request } from 'node:https';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';
import { OUTAGE, nodeName } from './controllers/nodes.ts';
import { arrayAt, stringAt, type Json } from './store/object.ts';

const USAGE = `usage: zone fail ZONE [--pause] | zone restore ZONE | zone list      [--kubeconfig FILE]

  fail      kills all processes of the zone at once, as a power cut does; its node is NotReady until it is restored
  --pause   stops the processes where they are (SIGSTOP) in place of killing them
  restore   brings the zone back: its pods start again with their disks
  list      shows the zones
`;

/** A command that cannot be carried out; the text is for the person who gave it. */
class CommandError extends Error {}

interface Access {
  readonly server: string;
  readonly ca: Buffer;
  readonly token: string;
}

function readAccess(file: string): Access {
  let config: Json;
  try {
    config = parse(readFileSync(file, 'utf8')) as Json;
  } catch (error) {
    throw new CommandError(
      `${file} cannot be read (${error instanceof Error ? error.message : String(error)}); is local-kube running? Give its kubeconfig with --kubeconfig or KUBECONFIG`,
    );
  }
  const cluster = arrayAt(config, 'clusters')[0];
  const user = arrayAt(config, 'users')[0];
  const server = stringAt(cluster, 'cluster', 'server');
  const ca = stringAt(cluster, 'cluster', 'certificate-authority-data');
  const token = stringAt(user, 'user', 'token');
  if (server === undefined || ca === undefined || token === undefined) throw new CommandError(`${file} is not a kubeconfig of local-kube`);
  return { server, ca: Buffer.from(ca, 'base64'), token };
}

function call(access: Access, method: string, route: string, body?: Json): Promise<Json> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${access.token}`, 'content-type': 'application/merge-patch+json', accept: 'application/json' };
    const sent = request(`${access.server}${route}`, { method, ca: access.ca, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => {
        const answer = JSON.parse(text) as Json;
        if ((response.statusCode ?? 500) < 300) resolve(answer);
        else reject(new CommandError(stringAt(answer, 'message') ?? text));
      });
    });
    sent.on('error', (error) =>
      reject(new CommandError(`local-kube at ${access.server} does not answer (${error.message}); is it running?`)),
    );
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

async function listZones(access: Access): Promise<void> {
  const nodes = arrayAt(await call(access, 'GET', '/api/v1/nodes'), 'items');
  for (const node of nodes) {
    const outage = stringAt(node, 'metadata', 'annotations', OUTAGE);
    const zone = stringAt(node, 'metadata', 'labels', 'topology.kubernetes.io/zone') ?? '';
    process.stdout.write(`${zone.padEnd(12)} ${outage === undefined ? 'up' : outage === 'pause' ? 'paused' : 'failed'}\n`);
  }
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { pause: { type: 'boolean' }, kubeconfig: { type: 'string' } },
  });
  const words = positionals[0] === 'zone' ? positionals.slice(1) : positionals;
  const [verb, zone] = words;
  const file = values.kubeconfig ?? process.env['KUBECONFIG'] ?? path.join('.kube-aurora', 'local-kube', 'kubeconfig');
  if (verb === 'list') return listZones(readAccess(file));
  if ((verb !== 'fail' && verb !== 'restore') || zone === undefined) throw new CommandError(USAGE);
  const outage = verb === 'restore' ? null : values.pause === true ? 'pause' : 'fail';
  await call(readAccess(file), 'PATCH', `/api/v1/nodes/${encodeURIComponent(nodeName(zone))}?fieldManager=zone-command`, {
    metadata: { annotations: { [OUTAGE]: outage } },
  });
  process.stdout.write(
    verb === 'restore'
      ? `${zone} is back; its pods start again with their disks\n`
      : `${zone} has failed: its processes are ${outage === 'pause' ? 'stopped' : 'killed'}. Bring it back with: npm run zone -- restore ${zone}\n`,
  );
  return undefined;
}

try {
  await main();
} catch (error) {
  if (!(error instanceof CommandError || (error instanceof TypeError && 'code' in error))) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 64;
}
