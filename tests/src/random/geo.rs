//! Templates of geo commands.
//!
//! Results of equal distance have no promised order, so no two members have one place.

use super::Family;

pub(super) const FAMILY: Family = Family {
    templates: &[
        "GEOADD {key} {named_place}",
        "GEOADD {key} {named_place} {named_place} {named_place} {named_place} {named_place}",
        "GEOADD {key} CH|NX? {longitude} {latitude} odd",
        "GEOADD {key} NX|XX|CH CH|NX? {named_place} {named_place}",
        "GEOPOS {key} {place_name}*",
        "GEOHASH {key} {place_name}*",
        "GEODIST {key} {place_name} {place_name} {length_unit}?",
        "GEOSEARCH {key} FROMLONLAT {longitude} {latitude} BYRADIUS {length} {length_unit} ASC",
        "GEOSEARCH {key} FROMLONLAT {longitude} {latitude} BYBOX {length} {length} {length_unit}",
        "GEOSEARCH {key} FROMMEMBER {place_name} BYBOX {length} {length} {length_unit} DESC",
        "GEOSEARCH {key} FROMMEMBER {place_name} BYRADIUS {length} {length_unit} WITHDIST \
         WITHCOORD? WITHHASH? ASC",
        "GEOSEARCH {key} FROMMEMBER|FROMLONLAT {place} BYRADIUS {length} {length_unit}",
        "GEOSEARCH {key} BYPOLYGON 3 {corner} {corner} {corner}",
        "GEOSEARCH {key} BYPOLYGON 4 {corner} {corner} {corner} {corner} ASC|DESC \
         WITHDIST COUNT? {count}?",
        "GEOSEARCH {key} BYPOLYGON {count} {corner} {corner} {corner}",
        "GEOSEARCHSTORE {key} {key} FROMLONLAT {place} BYRADIUS {length} {length_unit}",
        "GEOSEARCHSTORE {key} {key} FROMMEMBER {place_name} BYBOX {length} {length} km \
         COUNT {count}",
        "GEORADIUS {key} {place} {length} {length_unit} WITHDIST? WITHCOORD? DESC?",
        "GEORADIUS {key} {place} {length} {length_unit} STORE {key}",
        "GEORADIUS {key} {place} {length} {length_unit} COUNT {count} STORE|ANY {key}? STOREDIST? \
         {key}?",
        "GEORADIUSBYMEMBER {key} {place_name} {length} {length_unit} COUNT? {count}?",
        "GEORADIUS_RO {key} {place} {length} km WITHDIST|STORE",
        "GEORADIUSBYMEMBER_RO {key} {place_name} {length} km ASC",
    ],
    slots: &[
        ("place_name", &["rome", "oslo", "lima", "fiji", "pole", "null", "0", "", "odd"]),
        (
            "place",
            &[
                "12.4964 41.9028",
                "12.6 42",
                "10.7522 59.9139",
                "-77.0428 -12.0464",
                "178.065 -17.7134",
                "-179.5 -17",
                "30 85",
                "0 0",
                "13 45.5",
                "-180 -85.05112878",
            ],
        ),
        (
            "named_place",
            &[
                "12.4964 41.9028 rome",
                "12.6 42 rome",
                "10.7522 59.9139 oslo",
                "-77.0428 -12.0464 lima",
                "178.065 -17.7134 fiji",
                "-179.5 -17 fiji",
                "30 85 pole",
                "0 0 null",
                "13 45.5 0",
                "-180 -85.05112878 ",
            ],
        ),
        // The middle of no three of them is beyond the map.
        (
            "corner",
            &["12.4 41.8", "10 60", "-77.1 -12.1", "178 -18", "5 -5", "13 46", "40 70", "90 x"],
        ),
        ("longitude", &["12.5", "-77.04", "179.99", "-180", "180", "0", "1e1", "x", "181", "33"]),
        ("latitude", &["41.9", "59.91", "-12.05", "85.05112878", "0", "-85", "86", "nan", "7.25"]),
        ("length", &["0", "1", "100", "1500.5", "20000", "1e7", "3e7", "-1", "x", "0.001"]),
        ("length_unit", &["m", "km", "ft", "mi", "KM", "km", "parsec"]),
    ],
};
