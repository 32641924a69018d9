-- What made the .hex files beside this one, run by `capture`. Each section writes one file: a line
-- for each message of the output plugin with its LSN, its xid and its transaction's commit time as
-- Postgres prints them ("-": none), and the bytes in hex.
\set ON_ERROR_STOP on
\set capture 'SELECT lsn, xid, coalesce(to_char(CASE WHEN xid <> ''0'' THEN pg_xact_commit_timestamp(xid) END AT TIME ZONE ''UTC'', ''YYYY-MM-DD"T"HH24:MI:SS.US"Z"''), ''-''), encode(data, ''hex'') FROM pg_logical_slot_get_binary_changes(''s'', NULL, NULL, ''proto_version'', ''1'', ''publication_names'', ''p,p_insert'', ''messages'', ''true'');'

CREATE SCHEMA shop;
CREATE TYPE shop.mood AS ENUM ('glad', 'sad');
CREATE TABLE shop.orders (id int PRIMARY KEY, status varchar(20), note text, feeling shop.mood);
CREATE TABLE shop.parts (id int PRIMARY KEY, order_id int REFERENCES shop.orders);
CREATE TABLE shop.documents (id int PRIMARY KEY, body text, version int);
ALTER TABLE shop.documents ALTER body SET STORAGE EXTERNAL;
CREATE TABLE shop.full_rows (id int, body text, version int);
ALTER TABLE shop.full_rows REPLICA IDENTITY FULL;
ALTER TABLE shop.full_rows ALTER body SET STORAGE EXTERNAL;
CREATE TABLE shop.by_index (a int, b text NOT NULL, c int);
ALTER TABLE shop.by_index ALTER b SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX by_index_b ON shop.by_index (b);
ALTER TABLE shop.by_index REPLICA IDENTITY USING INDEX by_index_b;
CREATE TABLE shop.appended (line text);
CREATE TABLE shop.nameless (line text);
ALTER TABLE shop.nameless REPLICA IDENTITY NOTHING;
CREATE TABLE shop.kinds (
  id int8 PRIMARY KEY, b bool, i2 int2, o oid, f4 float4, f8 float8, nan float8, n numeric,
  j json, jb jsonb, by bytea, d date, t time, ttz timetz, ts timestamp, tstz timestamptz,
  forever timestamptz, old timestamptz, iv interval, u uuid, a int[], tx text);
CREATE PUBLICATION p FOR TABLE shop.orders, shop.parts, shop.documents, shop.full_rows,
  shop.by_index, shop.kinds;
CREATE PUBLICATION p_insert FOR TABLE shop.appended, shop.nameless
  WITH (publish = 'insert, truncate');
SELECT pg_create_logical_replication_slot('s', 'pgoutput') \g /dev/null

\o rows.hex
BEGIN;
INSERT INTO shop.orders VALUES (1, '', NULL, 'glad'), (2, 'new', E'two\nlines', NULL);
UPDATE shop.orders SET status = 'paid' WHERE id = 1;
UPDATE shop.orders SET id = 3 WHERE id = 2;
DELETE FROM shop.orders WHERE id = 3;
COMMIT;
:capture

\o toast.hex
INSERT INTO shop.documents VALUES (1, repeat('d', 2100), 1);
INSERT INTO shop.full_rows VALUES (1, repeat('f', 2100), 1);
INSERT INTO shop.by_index VALUES (1, repeat('k', 2100), 1);
BEGIN;
UPDATE shop.documents SET version = 2;
UPDATE shop.full_rows SET version = 2;
UPDATE shop.by_index SET c = 2;
COMMIT;
:capture

\o full.hex
INSERT INTO shop.full_rows VALUES (2, '', NULL);
BEGIN;
UPDATE shop.full_rows SET version = 3 WHERE id = 2;
DELETE FROM shop.full_rows WHERE id = 2;
COMMIT;
:capture

\o by_index.hex
BEGIN;
INSERT INTO shop.by_index VALUES (2, 'two', 2);
UPDATE shop.by_index SET b = 'zwei' WHERE a = 2;
DELETE FROM shop.by_index WHERE a = 2;
COMMIT;
:capture

\o truncate.hex
BEGIN;
TRUNCATE shop.documents, shop.full_rows;
TRUNCATE shop.orders RESTART IDENTITY CASCADE;
COMMIT;
:capture

\o messages.hex
SELECT pg_logical_emit_message(false, 'audit', '') \g /dev/null
\o messages.hex
BEGIN;
SELECT pg_logical_emit_message(true, 'outbox', '\x00ff2210'::bytea) \g /dev/null
\o messages.hex
INSERT INTO shop.appended VALUES ('with it');
COMMIT;
:capture

\o altered.hex
BEGIN;
INSERT INTO shop.parts VALUES (1, NULL);
ALTER TABLE shop.parts ADD COLUMN weight numeric;
INSERT INTO shop.parts VALUES (2, NULL, 1.50);
COMMIT;
:capture

\o identities.hex
BEGIN;
INSERT INTO shop.appended VALUES ('by default, without a key');
INSERT INTO shop.nameless VALUES ('by none');
COMMIT;
:capture

\o origin.hex
SELECT pg_replication_origin_create('elsewhere') \g /dev/null
SELECT pg_replication_origin_session_setup('elsewhere') \g /dev/null
\o origin.hex
BEGIN;
SELECT pg_replication_origin_xact_setup('0/ABCD1234', '2026-01-02 03:04:05+00') \g /dev/null
\o origin.hex
INSERT INTO shop.appended VALUES ('from elsewhere');
COMMIT;
SELECT pg_replication_origin_session_reset() \g /dev/null
\o origin.hex
:capture

\o kinds.hex
INSERT INTO shop.kinds VALUES (
  9223372036854775807, true, -32768, 4294967295, 0.1, -1.5e-300, 'NaN', 12.300,
  E'{ "a b" :\n [1, "\\" { "] }', ' "scalar" ', '\x0001feff', '2026-11-23', '10:00:00.5',
  '10:00:00+02', '2026-11-23 10:00:00', '2026-11-23 10:00:00.123456+02', 'infinity',
  '0044-03-15 12:00:00+00 BC', '1 day 02:03:04', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
  '{1,NULL}', E'"quoted" \\ \t\u0001 \u00e4\u20ac\U0001F600');
:capture

-- Protocol 2: two transactions that are streamed (what fills the server's memory is not published),
-- a small one in between, a savepoint that is rolled back after its part was sent, and a streamed
-- transaction that is rolled back. The first transaction fills the server's caches: without them it
-- would notice that what it decodes was rolled back later.
\o /dev/null
CREATE EXTENSION dblink;
CREATE TABLE shop.filler (line text);
SELECT dblink_connect(name, format('host=%s user=postgres dbname=postgres', :'HOST'))
  FROM unnest(ARRAY['one', 'two', 'three']) name;
SET logical_decoding_work_mem = '64kB';
\set fill 'INSERT INTO shop.filler SELECT repeat(''x'', 1900) FROM generate_series(1, 40);'
BEGIN;
INSERT INTO shop.filler VALUES ('warm');
INSERT INTO shop.by_index VALUES (100, 'warm', 100);
INSERT INTO shop.documents VALUES (100, 'warm');
COMMIT;
SELECT dblink_exec('one', 'BEGIN; INSERT INTO shop.orders VALUES (101, ''one'', NULL, ''sad'');
  SELECT pg_logical_emit_message(true, ''outbox'', ''one'');
  INSERT INTO shop.appended VALUES (''one''); ' || :'fill');
SELECT dblink_exec('two', 'BEGIN; INSERT INTO shop.nameless VALUES (''two''); SAVEPOINT s;
  INSERT INTO shop.by_index VALUES (1, ''taken back'', 1); ' || :'fill' || :'fill');
SELECT dblink_exec('three', 'BEGIN; INSERT INTO shop.documents VALUES (103, ''three''); ' ||
  :'fill');
SELECT dblink_exec('two', 'ROLLBACK TO s; INSERT INTO shop.by_index VALUES (2, ''kept'', 2); ' ||
  :'fill' || 'TRUNCATE shop.kinds, shop.full_rows');
SELECT dblink_exec('one', 'SAVEPOINT s; UPDATE shop.orders SET status = ''1'' WHERE id = 101;
  RELEASE s; DELETE FROM shop.orders WHERE id = 101; ' || :'fill');
INSERT INTO shop.appended VALUES ('small');
SELECT dblink_exec('three', 'ROLLBACK');
SELECT dblink_exec('two', 'COMMIT');
SELECT dblink_exec('one', 'COMMIT');
-- The same WAL in both protocols.
\o whole.hex
SELECT lsn, xid, '-', encode(data, 'hex') FROM pg_logical_slot_peek_binary_changes('s', NULL, NULL,
  'proto_version', '1', 'publication_names', 'p,p_insert', 'messages', 'true');
\o streamed.hex
SELECT lsn, xid, '-', encode(data, 'hex') FROM pg_logical_slot_get_binary_changes('s', NULL, NULL,
  'proto_version', '2', 'streaming', 'on', 'publication_names', 'p,p_insert', 'messages', 'true');
