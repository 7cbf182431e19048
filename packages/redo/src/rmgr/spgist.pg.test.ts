import { OPCODE, RMGR, type WalRecord } from '@kube-aurora/pg-format';
import { expect, test } from 'vitest';
import { coverageOf, type ImageMode, recordsNotMet, verifyWorkload } from '../verify/verify-workload.ts';

function* statements(): Generator<string> {
  // Radix trees: prefixes, many labels, nulls.
  yield 'create table texts(id int, t text); create index texts_t on texts using spgist(t)';
  yield 'insert into texts select g, chr(65 + g % 26) || chr(97 + (g * 7) % 26) || md5(g::text) from generate_series(1, 4000) g';
  yield "insert into texts select g, repeat('common prefix ', 5) || g from generate_series(1, 1500) g";
  yield "insert into texts select g, 'common ' || chr(200 + g % 300) || g from generate_series(1, 2500) g";
  yield 'insert into texts select g, null from generate_series(1, 900) g';
  yield 'delete from texts where id % 3 <> 0';
  yield 'vacuum texts';
  // Redirections go once no transaction can follow them.
  yield 'select txid_current()';
  yield 'vacuum texts';
  yield 'insert into texts select g, chr(65 + g % 26) || md5((g * 3)::text) from generate_series(1, 2500) g';
  yield 'delete from texts where t is null';
  yield 'vacuum texts';

  yield 'create table small(t text); create index on small using spgist(t)';
  yield "insert into small select 'x' || g from generate_series(1, 50) g";
  yield "delete from small where t < 'x3'";
  yield 'vacuum small';

  // Inner tuples that gain labels until they outgrow their pages.
  yield 'create table labels(t text); create index on labels using spgist(t)';
  yield 'insert into labels select md5((g % 40)::text) || chr(256 + (g * 37) % 5000) || md5(g::text) from generate_series(1, 6000) g';

  // Long prefixes that later keys cut short, on pages with no room left.
  yield 'create table prefixes(t text); create index on prefixes using spgist(t)';
  yield 'insert into prefixes select repeat(md5((g % 60)::text), 7) || md5(g::text) from generate_series(1, 5000) g';
  yield `insert into prefixes
         select left(repeat(md5((g % 60)::text), 7), 20 + g % 190) || chr(300 + g % 50) || g from generate_series(1, 3000) g`;

  // Chains that die as a whole, on pages filled up again before the chain comes back.
  yield 'create table chains(t text); create index on chains using spgist(t)';
  yield 'insert into chains select chr(65 + g % 26) || md5(g::text) from generate_series(1, 3000) g';
  for (let round = 0; round < 3; round++) {
    yield "delete from chains where t ~ '^[ACEGI]..[0-7]'";
    yield "delete from chains where t ~ '^[BDF][0-9]'";
    yield 'vacuum chains';
    yield `insert into chains select chr(66 + 2 * (g % 13)) || 'f' || md5((g + ${round})::text) from generate_series(1, 2500) g`;
    yield `insert into chains select chr(65 + g % 26) || repeat(md5((g * 7 + ${round})::text), 3) from generate_series(1, 2000) g`;
    yield 'vacuum chains';
  }

  // Quad trees, k-d trees, networks and ranges.
  yield 'create table points(id int, p point)';
  yield 'create index on points using spgist(p); create index on points using spgist(p kd_point_ops)';
  yield 'insert into points select g, point((g * 7919) % 10007, (g * 104729) % 10009) from generate_series(1, 3000) g';
  yield 'insert into points select g, point(5, 5) from generate_series(1, 600) g';
  yield 'delete from points where id % 2 = 0';
  yield 'vacuum points';
  yield 'insert into points select g, point((g * 7907) % 10007, (g * 104723) % 10009) from generate_series(1, 1500) g';
  yield 'vacuum points';
  yield 'create table networks(a inet); create index on networks using spgist(a)';
  yield `insert into networks
         select ('10.' || g % 250 || '.' || (g * 7) % 250 || '.' || (g * 13) % 250)::inet from generate_series(1, 2500) g`;
  yield 'create table ranges(r int4range); create index on ranges using spgist(r)';
  yield 'insert into ranges select int4range(g % 1000, g % 1000 + (g * 31) % 500) from generate_series(1, 2000) g';
}

/** Forms of a record that take different paths in redo. */
function variantOf({ rmid, info, mainData, blocks }: WalRecord): string | undefined {
  if (rmid !== RMGR.SPGIST) return undefined;
  const ids = blocks.map((block) => `${block.id}${block.willInit ? 'i' : ''}`).join(',');
  switch (info & 0xf0) {
    case OPCODE.SPGIST.ADD_LEAF:
      return `ADD_LEAF ${ids}${mainData.readUInt16LE(2) === mainData.readUInt16LE(4) ? ' replaces dead' : ''}`;
    case OPCODE.SPGIST.MOVE_LEAFS:
      return `MOVE_LEAFS ${ids}${mainData[3] === 1 ? ' replaces dead' : ''}`;
    case OPCODE.SPGIST.PICKSPLIT:
    case OPCODE.SPGIST.ADD_NODE:
    case OPCODE.SPGIST.SPLIT_TUPLE:
      return `${info >> 4} ${ids}`;
    default:
      return undefined;
  }
}

const EXPECTED_VARIANTS = [
  'ADD_LEAF 0',
  'ADD_LEAF 0 replaces dead',
  'ADD_LEAF 0,1',
  'ADD_LEAF 0i,1',
  'MOVE_LEAFS 0,1,2',
  'MOVE_LEAFS 0,1,2 replaces dead',
  'MOVE_LEAFS 0,1i,2',
  // ADD_NODE in place, to another page, to a new page; with the parent on the old page or on its own.
  '3 0',
  '3 0,1',
  '3 0,1,2',
  '3 0,1i',
  '3 0,1i,2',
  // SPLIT_TUPLE with the postfix on the same, another and a new page.
  '4 0',
  '4 0,1',
  '4 0,1i',
  // PICKSPLIT of the root, and of leaves.
  '5 1i,2i',
  '5 0,2',
  '5 0,1i,2',
  '5 0,1i,2,3',
  '5 0,1,2i,3',
];

test.each<ImageMode>(['no images', 'images'])('SP-GiST records replay to the pages PostgreSQL has (%s)', async (mode) => {
  const variants = new Set<string>();
  const onRecord = (record: WalRecord) => {
    const variant = variantOf(record);
    if (variant !== undefined) variants.add(variant);
  };
  const { verifier, fileDifferences } = await verifyWorkload({ checking: 'spgist', statements: [...statements()], onRecord }, mode);
  process.stdout.write(`${coverageOf(verifier, 'SPGIST')}\n`);
  expect(verifier.mismatches).toEqual([]);
  // The metapage, block 0, remembers pages with room in it, and the writer never logs that.
  expect(fileDifferences.filter((line) => !line.includes(' block 0,'))).toEqual([]);
  expect(recordsNotMet(verifier, 'SPGIST')).toEqual([]);
  expect([...variants]).toEqual(expect.arrayContaining(EXPECTED_VARIANTS));
});
