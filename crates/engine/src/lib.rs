//! The server without sockets: sessions, commands, configuration, statistics.
