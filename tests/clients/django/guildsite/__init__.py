"""A small Django site whose caches and sessions live in the server under test."""
