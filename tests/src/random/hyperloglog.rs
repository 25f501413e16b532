//! Templates of HyperLogLog commands.

use super::Family;

pub(super) const FAMILY: Family = Family {
    templates: &[
        "PFADD {key}",
        "PFADD {key} {element}*",
        "PFADD {key} {element} {element} {element} {element} {element} {element} {element}",
        "PFADD {key} {value} {integer} {float} {bit} {index} {offset} {type} {field} {pattern}",
        "PFCOUNT {key}",
        "PFCOUNT {key}*",
        "PFMERGE {key} {key}*",
        "PFMERGE {key}",
        "PFDEBUG ENCODING|DECODE|nonsense {key}",
        "PFDEBUG TODENSE|GETREG {key}",
        "SETRANGE {key} {register} {byte}",
        "SETRANGE {key} {register} {byte}",
        "GET {key}",
        "COPY {key} {key} REPLACE",
    ],
    slots: &[
        (
            "element",
            &[
                "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15",
                "16", "17", "18", "19", "20", "21", "22", "23", "24", "25", "26", "27", "28", "29",
                "30", "31", "32", "33", "34", "35", "36", "37", "38", "39", "40", "41", "42", "43",
                "44", "45", "46", "47", "48", "49", "50", "51", "52", "53", "54", "55", "56", "57",
            ],
        ),
        // Form, kept count, first and last registers.
        ("register", &["0", "4", "8", "15", "16", "17", "18", "19", "20", "25", "30", "12303"]),
        ("byte", &["\0", "\x01", "\x02", "@", "A", "\x7f", "?", "\u{80}", "HYLL", "x"]),
    ],
};
