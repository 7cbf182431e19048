import type { AgentSituation } from './agent-situation.ts';
import type { Absence } from './postgres/stand-in.ts';

const NOTHING_LOST = 'No commit that was acknowledged is lost. Try again in a moment.';

/**
 * What a client that finds no PostgreSQL is told. Whoever asks has shown no password: nothing of our inside is in it.
 */
export function absenceOf(situation: AgentSituation): Absence {
  const told = (message: string, detail = NOTHING_LOST): Absence => ({ sqlState: '57P03', message, detail });
  switch (situation.reason) {
    case 'awaitingTurn':
      return told('the database has no writer at present, or this server does not know of one yet');
    case 'waitingForStorage':
      return told('the database is waiting for its storage');
    case 'postgresFailed':
    case 'imageFailed':
    case 'damagedWal':
      return told('the database server failed and is being started again');
    case 'settingsRefused':
      return told('the database server does not start with its settings', 'The status of the cluster says which setting is wrong.');
    case 'engineMismatch':
    case 'rolesMismatch':
    case 'volumeMissing':
      return told('the database cannot be opened by this server', 'The status of the cluster says why.');
    case 'initdbRefused':
      return told('the database cannot be made as it is wanted', 'The status of the cluster says why.');
    case 'fenced':
      return told('another server has taken over this database', 'Connect again to reach it.');
    case 'stopping':
      return told('the database server is shutting down', 'Connect again to reach the next one.');
    case 'startingPostgres':
    case 'takingOver':
    case 'noQuorum':
    case 'none':
      return situation.phase === 'bootstrapping'
        ? told('the database is being made', 'Try again in a moment.')
        : told('the database is being opened');
  }
}
