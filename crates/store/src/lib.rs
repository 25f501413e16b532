//! The keyspace: shards, databases, values, expiry, eviction, scan.
