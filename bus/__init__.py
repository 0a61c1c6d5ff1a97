"""The only producer and consumer code: topics as data, Avro records, named errors."""
