-- How a replication slot stands: one row, or none when there is no such slot.
-- Owner: operators. Grain: one slot. `retained` is what the server must keep on disk for it.
SELECT s.slot_name,
       s.active,
       s.wal_status,
       s.invalidation_reason,
       s.restart_lsn::text                                                     AS restart_lsn,
       (s.confirmed_flush_lsn - '0/0'::pg_lsn)::bigint                         AS confirmed_flush,
       pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)::bigint            AS retained_bytes,
       pg_wal_lsn_diff(pg_current_wal_lsn(), s.confirmed_flush_lsn)::bigint    AS lag_bytes
  FROM pg_replication_slots s
 WHERE s.slot_name = %(slot)s
