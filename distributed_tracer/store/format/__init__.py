"""The bytes of a store, as FORMAT.md describes them: schemas, checksummed records, encoding and decoding."""
