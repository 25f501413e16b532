//! Templates for sets.
//!
//! Members are few, so that sets meet; some are integers of every width, some too long for a
//! packed set. Random members are asked for by counts with which nothing is left to chance; SPOP
//! is left out, because a spoiled count would make the servers' sets differ.

use super::Family;

pub(super) const FAMILY: Family = Family {
    templates: TEMPLATES,
    slots: &[("member", MEMBERS), ("integer_member", INTEGERS), ("take", TAKE)],
};

const TEMPLATES: &[&str] = &[
    "SADD {key} {member}*",
    "SADD {key} {member}* {member}* {member}*",
    "SADD {key} {integer_member}* {integer_member}*",
    "SREM {key} {member}*",
    "SREM {key} {member}* {member}* {member}*",
    "SCARD {key}",
    "SISMEMBER {key} {member}",
    "SMISMEMBER {key} {member}*",
    "SMEMBERS {key}",
    "SMEMBERS {key}",
    "SMOVE {key} {key} {member}",
    "SMOVE {key} {key} {integer_member}",
    "SRANDMEMBER {key} {take}",
    "SSCAN {key} 0 COUNT 1000",
    "SSCAN {key} 0 MATCH {pattern} COUNT 1000",
    "SSCAN {key} {no_cursor}",
    "SSCAN {key} 0 COUNT|MATCH|TYPE|NOVALUES {no_count}?",
    "SINTER {key}*",
    "SUNION {key}*",
    "SDIFF {key}*",
    "SDIFF {key}* {key}* {key}*",
    "SINTERCARD {count} {key}*",
    "SINTERCARD {count} {key}* LIMIT {count}",
    "SINTERSTORE {key} {key}*",
    "SUNIONSTORE {key} {key}*",
    "SDIFFSTORE {key} {key}*",
    "SDIFFSTORE {key} {key}* {key}* {key}*",
    "OBJECT ENCODING {key}",
];

const MEMBERS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "-1",
    "7",
    "32767",
    "32768",
    "-32769",
    "2147483647",
    "-2147483649",
    "9223372036854775807",
    "-9223372036854775808",
    "1000000",
    "9223372036854775808",
    "01",
    "-0",
    "",
    "a",
    "b",
    "c",
    "member",
    "0123456789012345678901234567890123456789012345678901234567890123",
    "01234567890123456789012345678901234567890123456789012345678901234",
];

const INTEGERS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "-1",
    "7",
    "32767",
    "32768",
    "-32769",
    "2147483647",
    "-2147483649",
    "9223372036854775807",
    "-9223372036854775808",
    "1000000",
];

/// Counts that ask for nothing, for all there is, or for an error.
const TAKE: &[&str] = &["0", "1000", "9223372036854775807", "x", "", "9223372036854775808"];
