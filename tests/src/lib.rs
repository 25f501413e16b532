//! Tests across the rooms: transcripts, random command sequences, clients, bad input.
