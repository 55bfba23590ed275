"""Mining: statistics over all graphs of a store, made out of core. In: a store. Out: folders of Parquet files."""
