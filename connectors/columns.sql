-- Captured columns whose NULLs cannot be told from their default once they are Avro: nullable, with a default.
-- Owner: operators. Grain: one column. The converter writes the default where the row holds NULL (docs/adr/0008).
SELECT format('%%I.%%I.%%I', n.nspname, c.relname, a.attname) AS column_name
  FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname || '.' || c.relname = ANY (%(tables)s)
   AND a.attnum > 0 AND NOT a.attisdropped
   AND NOT a.attnotnull AND a.atthasdef AND a.attgenerated = ''
 ORDER BY 1
