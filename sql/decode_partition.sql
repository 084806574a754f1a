-- Partitioned tables: as their partitions, or as their root
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA decode_partition;
SET search_path = decode_partition;
CREATE TABLE root (id int, k int, v text, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
CREATE TABLE leaf1 PARTITION OF root FOR VALUES IN (1);
-- columns in another order, with a hole
CREATE TABLE leaf2 (v text, hole int, k int NOT NULL, id int NOT NULL);
ALTER TABLE leaf2 DROP COLUMN hole;
ALTER TABLE root ATTACH PARTITION leaf2 FOR VALUES IN (2);
CREATE TABLE middle PARTITION OF root FOR VALUES IN (3, 4) PARTITION BY LIST (k);
CREATE TABLE leaf3 PARTITION OF middle FOR VALUES IN (3);
CREATE TABLE leaf4 PARTITION OF middle FOR VALUES IN (4);
CREATE PUBLICATION decode_leaves FOR TABLE root WITH (publish_via_partition_root = false);
CREATE PUBLICATION decode_root FOR TABLE root WITH (publish_via_partition_root = true);
CREATE PUBLICATION decode_middle FOR TABLE middle WITH (publish_via_partition_root = true);
CREATE PUBLICATION decode_filtered FOR TABLE root WHERE (id < 10) WITH (publish_via_partition_root = true);
CREATE PUBLICATION decode_filtered_leaf FOR TABLE leaf1 WHERE (id < 10);
CREATE PUBLICATION decode_root_columns FOR TABLE root (k, id) WITH (publish_via_partition_root = true);
CREATE PUBLICATION decode_schema FOR TABLES IN SCHEMA decode_partition WITH (publish_via_partition_root = true);
CREATE FUNCTION changes(publications text) RETURNS SETOF jsonb LANGUAGE sql AS $$
	SELECT data::jsonb - '{schema,lsn,commit_lsn,end_lsn,xid,commit_time}'::text[]
	FROM pg_logical_slot_peek_changes('decode_partition', NULL, NULL, 'publications', publications, 'include_transactions', 'off')
$$;
SELECT 1 FROM pg_create_logical_replication_slot('decode_partition', 'tarn');

INSERT INTO root VALUES (1, 1, 'one'), (2, 2, 'two'), (30, 3, 'three'), (40, 4, 'four');
UPDATE root SET v = upper(v) WHERE id = 2;
-- a move between partitions is a delete and an insert
UPDATE root SET k = 1 WHERE id = 2;
DELETE FROM root WHERE id = 30;
SELECT * FROM changes('decode_leaves');
SELECT * FROM changes('decode_root');

-- the topmost ancestor of all publications wins
SELECT line ->> 'op' AS op, line ->> 'table' AS "table" FROM changes('decode_middle') line;
SELECT line ->> 'op' AS op, line ->> 'table' AS "table" FROM changes('decode_middle,decode_root') line;
SELECT line ->> 'op' AS op, line ->> 'table' AS "table" FROM changes('decode_leaves,decode_middle') line;
SELECT line ->> 'op' AS op, line ->> 'table' AS "table" FROM changes('decode_schema') line;

-- filters and columns are those of the table under whose name the rows leave
SELECT * FROM changes('decode_filtered');
SELECT * FROM changes('decode_filtered_leaf');
SELECT line ->> 'table' AS "table", count(*) FROM changes('decode_filtered_leaf,decode_root') line GROUP BY 1;
SELECT * FROM changes('decode_root_columns');
SELECT count(*) >= 0 AS moved FROM pg_replication_slot_advance('decode_partition', pg_current_wal_lsn());

-- TRUNCATE of the root; of one partition, which the root's name cannot tell
TRUNCATE root;
SELECT * FROM changes('decode_leaves');
SELECT * FROM changes('decode_root');
SELECT count(*) >= 0 AS moved FROM pg_replication_slot_advance('decode_partition', pg_current_wal_lsn());
TRUNCATE leaf2;
SELECT * FROM changes('decode_leaves');
SELECT * FROM changes('decode_root');
SELECT count(*) >= 0 AS moved FROM pg_replication_slot_advance('decode_partition', pg_current_wal_lsn());

-- partitions come, go, and change while rows flow
CREATE TABLE leaf5 (extra int, v text, id int NOT NULL, k int NOT NULL);
ALTER TABLE leaf5 DROP COLUMN extra;
INSERT INTO leaf5 VALUES ('not yet', 51, 5);
ALTER TABLE root ATTACH PARTITION leaf5 FOR VALUES IN (5);
INSERT INTO root VALUES (52, 5, 'attached');
ALTER TABLE root ADD COLUMN w int DEFAULT 7;
INSERT INTO root VALUES (53, 5, 'wider', 8), (54, 1, 'wider', 9);
ALTER TABLE root DROP COLUMN v;
INSERT INTO root VALUES (55, 5, 8), (56, 2, 9);
ALTER TABLE root DETACH PARTITION leaf5;
INSERT INTO leaf5 VALUES (57, 5, 10);
SELECT * FROM changes('decode_root');

SELECT pg_drop_replication_slot('decode_partition');
DROP PUBLICATION decode_leaves, decode_root, decode_middle, decode_filtered, decode_filtered_leaf, decode_root_columns, decode_schema;
DROP SCHEMA decode_partition CASCADE;
