"""The bytes of a store, as FORMAT.md describes them: schemas, records with checksums, encoding and decoding."""
