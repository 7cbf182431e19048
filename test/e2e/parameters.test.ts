import { expect, it } from 'vitest';
import { OWNED_PARAMETERS as AGENT_OWNED, checkParameters, ParameterError } from '../../compute-node/src/postgres/parameters.ts';
import { OWNED_PARAMETERS as OPERATOR_OWNED, splitParameters } from '../../operator/src/api/parameters.ts';

function agentRefuses(name: string): boolean {
  try {
    checkParameters({ [name]: 'on' });
    return false;
  } catch (error) {
    if (error instanceof ParameterError) return true;
    throw error;
  }
}

// What the operator lets through and the agent refuses would keep the writer from starting, over and over.
it('the operator refuses every setting that the compute agent refuses', () => {
  const candidates = [...Object.keys(AGENT_OWNED), ...Object.keys(OPERATOR_OWNED), 'listen_addresses', 'data_directory', 'ident_file'];
  for (const name of candidates.filter(agentRefuses)) {
    expect(
      splitParameters({ [name]: 'on' }).refused.map((refused) => refused.name),
      name,
    ).toEqual([name]);
  }
});

it('both let the same levels of WAL through', () => {
  const taken = ['minimal', 'replica', 'logical', 'hot_standby', 'LOGICAL'].filter(
    (wal_level) => splitParameters({ wal_level }).refused.length === 0,
  );
  expect(taken).toEqual(['replica', 'logical']);
  for (const wal_level of taken) expect(checkParameters({ WAL_level: wal_level })).toEqual(new Map([['wal_level', wal_level]]));
  for (const wal_level of ['minimal', 'LOGICAL']) expect(() => checkParameters({ wal_level })).toThrow("'replica' or 'logical'");
});

it('both let ordinary settings through', () => {
  const ordinary = { shared_buffers: '64MB', work_mem: '8MB', 'pg_stat_statements.max': '1000', max_connections: '200' };
  expect(splitParameters(ordinary).refused).toEqual([]);
  expect(checkParameters(ordinary).size).toBeGreaterThanOrEqual(4);
});
