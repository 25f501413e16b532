//! The shell around the engine: listeners, connections, workers, signals.
