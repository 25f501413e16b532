//! The wire grammar of RESP2, RESP3 and inline requests, both directions; no IO.
