import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { runVariedWorkload, startPostgres, type TestPostgres } from '@kube-aurora/test-postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { restoreBlockImage } from './block-image.ts';
import { decodeRecord } from './decode-record.ts';
import { formatLsn, lsn, type Lsn } from './lsn.ts';
import { DB_STATE, decodePgControl, encodePgControl } from './pg-control.ts';
import { OPCODE, RMGR, resourceManagers } from './rmgr.ts';
import { WAL_PAGE_BYTES, WAL_PAGE_HEADER, WAL_PAGE_INFO, WAL_SEGMENT_BYTES } from './wal-layout.ts';
import { WalFormatError } from './wal-format-error.ts';
import { WalPageWriter } from './wal-page-writer.ts';
import { parseWalSegmentFileName } from './wal-position.ts';
import type { WalRecord } from './wal-record.ts';
import { type StreamRecord, WalStreamDecoder } from './wal-stream-decoder.ts';

/** WAL that a real PostgreSQL 18 wrote: decoded, compared with what pg_walinspect makes of it, and laid out again. */

interface Segment {
  readonly lsn: Lsn;
  readonly bytes: Buffer;
}

async function segmentsOf(postgres: TestPostgres): Promise<Segment[]> {
  const directory = path.join(postgres.dataDir, 'pg_wal');
  const names = (await readdir(directory)).filter((name) => parseWalSegmentFileName(name) !== undefined).sort();
  const segments: Segment[] = [];
  for (const name of names) {
    const position = parseWalSegmentFileName(name)?.lsn;
    if (position !== undefined) segments.push({ lsn: position, bytes: await readFile(path.join(directory, name)) });
  }
  return segments;
}

async function controlOf(postgres: TestPostgres): Promise<Buffer> {
  return readFile(path.join(postgres.dataDir, 'global', 'pg_control'));
}

function decodeAll(segments: readonly Segment[], systemIdentifier: bigint, chunkBytes: number): StreamRecord[] {
  const first = segments[0];
  if (first === undefined) throw new Error('no WAL segments');
  const decoder = new WalStreamDecoder(first.lsn, { systemIdentifier });
  const records: StreamRecord[] = [];
  for (const { bytes } of segments) {
    for (let at = 0; at < bytes.length; at += chunkBytes) {
      decoder.push(bytes.subarray(at, at + chunkBytes));
      for (let record = decoder.next(); record !== undefined; record = decoder.next()) records.push(record);
    }
  }
  return records;
}

/** The one bit of WAL that does not follow from its records: whether a base backup ran when a page was begun. */
function clearBackupBit(page: Buffer): void {
  if (page.readUInt16LE(WAL_PAGE_HEADER.magic.at) === 0) return;
  const info = page.readUInt16LE(WAL_PAGE_HEADER.info.at);
  page.writeUInt16LE(info & ~WAL_PAGE_INFO.BKP_REMOVABLE, WAL_PAGE_HEADER.info.at);
}

const SETTINGS = {
  wal_level: 'logical',
  wal_keep_size: '4GB',
  max_wal_size: '4GB',
  wal_recycle: false,
  track_commit_timestamp: true,
  max_prepared_transactions: 10,
  autovacuum: false,
};

describe.each([
  ['as it comes', {}],
  ['with pglz and consistency images', { wal_compression: 'pglz', wal_consistency_checking: 'gist,brin,sequence' }],
  ['without full-page writes, hint bits logged', { full_page_writes: false, wal_log_hints: true }],
])('WAL of a varied workload, %s', (_, settings) => {
  let postgres: TestPostgres;
  let segments: Segment[];
  let records: StreamRecord[];
  let decoded: WalRecord[];
  /** Rows of pg_walinspect, taken while the server ran. */
  let inspected: Record<string, string>[];
  let inspectedBlocks: Record<string, string>[];

  beforeAll(async () => {
    postgres = await startPostgres({ settings: { ...SETTINGS, ...settings }, initdb: ['--no-data-checksums'] });
    const client = await postgres.connect();
    await client.query('create extension pg_walinspect');
    await runVariedWorkload(postgres);
    const range = "'0/1000028'::pg_lsn, pg_current_wal_flush_lsn()";
    const shown = `start_lsn::text, end_lsn::text, prev_lsn::text, xid::text, resource_manager, record_type,
      record_length::text, main_data_length::text, fpi_length::text`;
    inspected = (await client.query(`select ${shown} from pg_get_wal_records_info(${range})`)).rows;
    inspectedBlocks = (
      await client.query(
        `select start_lsn::text, block_id::text, format('%s/%s/%s fork %s block %s', reltablespace, reldatabase, relfilenode,
           relforknumber, relblocknumber) as page,
         md5(block_data) as data, md5(block_fpi_data) as image, block_fpi_info::text as info
         from pg_get_wal_block_info(${range}, true)`,
      )
    ).rows;
    await client.end();
    await postgres.stop();
    segments = await segmentsOf(postgres);
    records = decodeAll(segments, decodePgControl(await controlOf(postgres)).systemIdentifier, 128 * 1024);
    decoded = records.map((record) => decodeRecord(record.raw, record.lsn));
  });
  afterAll(() => postgres?.remove());

  test('decodes to the records that PostgreSQL sees', () => {
    expect(inspected.length).toBeGreaterThan(10_000);
    const ours = decoded.slice(0, inspected.length).map((record) => ({
      start_lsn: formatLsn(record.lsn),
      end_lsn: formatLsn(record.endLsn),
      prev_lsn: formatLsn(record.prev),
      xid: String(record.xid),
      resource_manager: resourceManagers(18).recordName(record).split('/')[0],
      record_type: resourceManagers(18).recordName(record).split('/')[1],
      record_length: String(record.raw.length),
      main_data_length: String(record.mainData.length),
      fpi_length: String(record.blocks.reduce((sum, block) => sum + (block.image?.data.length ?? 0), 0)),
    }));
    for (let index = 0; index < inspected.length; index += 1000) {
      expect(ours.slice(index, index + 1000)).toEqual(inspected.slice(index, index + 1000));
    }
  });

  test('gives the block references and page images that PostgreSQL sees', () => {
    const md5 = (bytes: Buffer) => createHash('md5').update(bytes).digest('hex');
    const byStart = new Map(decoded.map((record) => [formatLsn(record.lsn), record]));
    let images = 0;
    for (const theirs of inspectedBlocks) {
      const block = byStart.get(theirs['start_lsn'] ?? '')?.blocks.find(({ id }) => String(id) === theirs['block_id']);
      if (block === undefined) throw new Error(`no ${theirs['start_lsn']} block ${theirs['block_id']}`);
      const { image } = block;
      if (image !== undefined) images++;
      const ours = {
        page: `${block.spcOid}/${block.dbOid}/${block.relNumber} fork ${block.fork} block ${block.blockNumber}`,
        data: block.data.length === 0 ? null : md5(block.data),
        image: image === undefined ? null : md5(restoreBlockImage(image)),
        apply: image?.apply ?? false,
      };
      const same =
        ours.page === theirs['page'] &&
        ours.data === theirs['data'] &&
        ours.image === theirs['image'] &&
        ours.apply === (theirs['info']?.includes('APPLY') ?? false);
      // An expect for each of a hundred thousand blocks would take longer than all else.
      if (!same) expect(theirs).toEqual(ours);
    }
    expect(images).toBeGreaterThan(100);
  });

  test('covers what it should: switches, records over segments, most resource managers', () => {
    expect(decoded.some(({ rmid, info }) => rmid === RMGR.XLOG && (info & 0xf0) === OPCODE.XLOG.SWITCH)).toBe(true);
    expect(decoded.some(({ raw }) => raw.length > WAL_SEGMENT_BYTES)).toBe(true);
    const managers = new Set(decoded.map(({ rmid }) => rmid));
    const rare: number[] = [RMGR.REPLORIGIN, RMGR.GENERIC];
    expect(Object.values(RMGR).filter((rmid) => !managers.has(rmid) && !rare.includes(rmid))).toEqual([]);
  });

  test('is laid out again byte for byte', async () => {
    const { systemIdentifier } = decodePgControl(await controlOf(postgres));
    const [first] = segments;
    if (first === undefined) throw new Error('no WAL segments');
    const writer = new WalPageWriter({ systemIdentifier, timeline: 1, startLsn: first.lsn });
    for (const { lsn: start, endLsn, raw } of records) {
      const place = writer.append(raw);
      if (place.lsn !== start || place.endLsn !== endLsn) throw new Error(`record ${formatLsn(start)} went to ${formatLsn(place.lsn)}`);
    }
    const again = segments.map(({ bytes }) => Buffer.alloc(bytes.length));
    for (const { lsn: position, bytes } of writer.pages()) {
      const offset = Number(position - first.lsn);
      bytes.copy(again[Math.floor(offset / WAL_SEGMENT_BYTES)] ?? Buffer.alloc(0), offset % WAL_SEGMENT_BYTES);
    }
    for (const [index, { lsn: position, bytes }] of segments.entries()) {
      const ours = again[index];
      for (let at = 0; at < bytes.length; at += WAL_PAGE_BYTES) {
        const theirs = Buffer.from(bytes.subarray(at, at + WAL_PAGE_BYTES));
        const page = ours?.subarray(at, at + WAL_PAGE_BYTES) ?? Buffer.alloc(0);
        clearBackupBit(theirs);
        clearBackupBit(page);
        if (!page.equals(theirs)) throw new Error(`page ${formatLsn(lsn(position + BigInt(at)))} differs`);
      }
    }
  });

  test('decodes alike in small chunks and from the middle', async () => {
    const { systemIdentifier } = decodePgControl(await controlOf(postgres));
    const [first] = segments;
    const small = decodeAll(segments.slice(0, 1), systemIdentifier, 61);
    expect(small.length).toBeGreaterThan(1000);
    for (const [index, { lsn: start, raw }] of small.entries()) {
      if (start !== records[index]?.lsn || !raw.equals(records[index].raw)) throw new Error(`record ${formatLsn(start)} differs`);
    }
    for (const from of records.filter((_record, index) => index % 997 === 0).slice(0, 5)) {
      const decoder = new WalStreamDecoder(from.endLsn, { prev: from.lsn });
      decoder.push(first?.bytes.subarray(Number(from.endLsn - first.lsn)) ?? Buffer.alloc(0));
      expect(decoder.next()?.lsn).toBe(records[records.indexOf(from) + 1]?.lsn);
    }
  });

  test('pg_control is written again byte for byte', async () => {
    const file = await controlOf(postgres);
    const control = decodePgControl(file);
    expect(control.state).toBe(DB_STATE.SHUTDOWNED);
    expect(encodePgControl(control).equals(file)).toBe(true);
    const last = decoded.at(-1);
    expect(last?.lsn).toBe(control.checkPoint);
    expect(last === undefined ? '' : resourceManagers(18).recordName(last)).toBe('XLOG/CHECKPOINT_SHUTDOWN');
  });
});

test('the tail of a log that is being written is followed to its end', async () => {
  const postgres = await startPostgres({ settings: { ...SETTINGS, wal_buffers: '64kB' }, initdb: ['--no-data-checksums'] });
  try {
    const { systemIdentifier } = decodePgControl(await controlOf(postgres));
    const setup = await postgres.connect();
    await setup.query('create table ticks (id int, body text)');
    let writing = true;
    const writers = Array.from({ length: 4 }, async (_, writer) => {
      const client = await postgres.connect();
      for (let round = 0; round < 150; round++) {
        await client.query('insert into ticks select $1, repeat($2, (random() * 3000)::int) from generate_series(1, 5)', [
          round,
          `${writer}`,
        ]);
      }
      await client.end();
    });
    const written = Promise.all(writers).then(() => (writing = false));

    const decoder = new WalStreamDecoder(lsn(BigInt(WAL_SEGMENT_BYTES)), { systemIdentifier });
    const followed: Lsn[] = [];
    const follow = async () => {
      const segments = await segmentsOf(postgres);
      for (const { lsn: start, bytes } of segments) {
        if (decoder.receivedLsn < start || decoder.receivedLsn >= start + BigInt(bytes.length)) continue;
        decoder.push(bytes.subarray(Number(decoder.receivedLsn - start)));
      }
      try {
        for (let record = decoder.next(); record !== undefined; record = decoder.next()) followed.push(record.lsn);
      } catch (error) {
        // A record that another backend was still copying into its page.
        if (!(error instanceof WalFormatError)) throw error;
      }
      decoder.rewind();
    };
    while (writing) {
      await follow();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await written;
    await setup.end();
    await postgres.stop();
    await follow();
    expect(followed).toEqual(decodeAll(await segmentsOf(postgres), systemIdentifier, WAL_SEGMENT_BYTES).map((record) => record.lsn));
    expect(decodePgControl(await controlOf(postgres)).checkPoint).toBe(followed.at(-1));
  } finally {
    await postgres.remove();
  }
});
