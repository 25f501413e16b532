//! Data structures of the keyspace: table, entry, wheel. The only home of unsafe code.
