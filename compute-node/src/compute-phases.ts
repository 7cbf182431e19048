import { randomUUID } from 'node:crypto';
import { parseAddress, type Connect } from '@kube-aurora/process';
import { allDoors, type AgentPhases, type ComputePhasesOptions, type ElectionPhases, type RoleChoice } from './agent-phases.ts';
import type { AgentConfig } from './config.ts';
import { awaitTurn } from './election/await-turn.ts';
import { claimPlace } from './election/claim-place.ts';
import { isSucceeded } from './election/next-writer.ts';
import { WriterWatch } from './election/writer-watch.ts';
import { noteWriter } from './lease/earlier-writers.ts';
import { giveLeasesBack } from './lease/give-leases-back.ts';
import { homeSegment } from './placement.ts';
import type { RolePasswords } from './postgres/role-passwords.ts';
import { StandIn } from './postgres/stand-in.ts';
import { killStrays } from './postgres/strays.ts';
import { readerPhases } from './reader-phases.ts';
import type { WriterIdentity } from './segments.ts';
import { askDrain } from './switchover/ask-drain.ts';
import { writerPhases } from './writer-phases.ts';

/** Where another compute's agent answers, as far as that is known: under its own name, at the port that is ours too. */
function agentAddress({ writerPort, metricsListen }: AgentConfig, instance: string): { host: string; port: number } | undefined {
  const own = parseAddress(metricsListen);
  if (writerPort === undefined || own === undefined) return undefined;
  return { host: writerPort.instances.host.replace('*', instance), port: own.port };
}

/** What a compute does, with real storage and a real PostgreSQL, in the roles that its settings let it come to. */
export function computePhases(
  options: ComputePhasesOptions & {
    readonly passwords: RolePasswords;
    /** How other computes' agents are reached. */
    readonly connectAgent?: Connect | undefined;
  },
): {
  readonly phases: AgentPhases;
  readonly roles: RoleChoice;
} {
  const { config, paths, segments, place, tls, clock, logger } = options;
  const { role, instance } = config;
  const segment = homeSegment(config.volumeId);
  const identity: WriterIdentity = { segment, writerId: `${instance}/${randomUUID()}` };
  /** Their PostgreSQLs are dead, as is that of every session of ours before the present one. */
  const dead = new Set([identity.writerId]);
  const phases: AgentPhases = {
    door: (absence) => {
      const { host, port } = config.pgListen;
      const ports = config.writerPort === undefined ? [port] : [port, config.writerPort.port];
      return allDoors(ports.map((one) => new StandIn({ listen: { host, port: one }, absence, pair: () => tls.pair, clock, logger })));
    },
    clear: async () => {
      const strays = killStrays(paths.dataDir);
      const earlier = noteWriter(paths.writersFile, identity.writerId);
      for (const { writerId } of earlier) dead.add(writerId);
      // A reader that waits for such a writer need wait no longer.
      const leases = earlier.flatMap(({ writerId, epoch }) => (epoch === undefined ? [] : [{ writerId, epoch }]));
      await giveLeasesBack({ segments, segment, leases, reopens: role === 'writer', clock, logger });
      return strays;
    },
  };
  const writer = writerPhases({ ...options, identity, isDead: (writerId) => dead.has(writerId) });
  const reader = readerPhases(options);
  const asking = { segments, segment, place, instance, clock, logger };
  const election: ElectionPhases = {
    awaitTurn: (how) => awaitTurn({ ...asking, ...how, writerId: identity.writerId }),
    watch: (onElected) => new WriterWatch({ ...asking, onElected }),
    claim: (signal) => claimPlace(asking, signal),
    isSucceeded: (signal) => isSucceeded(asking, signal),
    drainWriter: (other, signal) => {
      const address = agentAddress(config, other);
      return askDrain({ address, withinMs: place.drainMs, connect: options.connectAgent, clock, logger }, signal);
    },
  };
  switch (role) {
    case 'writer':
      return { phases, roles: { role, writer } };
    case 'reader':
      return { phases, roles: { role, reader } };
    case 'auto':
      return { phases, roles: { role, writer, reader, election } };
  }
}
