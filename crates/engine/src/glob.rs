//! Glob patterns as KEYS, SCAN and CONFIG GET understand them: `*`, `?`, `[a-z]`, `[^x]`, `\`.
//!
//! Matching walks pattern and text once and, at a mismatch, goes back to the last `*` only, so
//! that its cost is bounded by their product; Redis's recursive form can be made exponential.
//! The rules at the edges are Redis's: an unclosed `[` runs to the end of the pattern, a `\` at
//! the very end stands for itself, a reversed range is turned round, and the empty text matches
//! the empty pattern only (that `KEYS *` lists the empty key too is KEYS's doing).

/// Whether `text` matches `pattern`; without `case`, ASCII letters match in either case.
pub(crate) fn matches(pattern: &[u8], text: &[u8], case: bool) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            while pattern.get(p) == Some(&b'*') {
                p += 1;
            }
            if p == pattern.len() {
                return true;
            }
            retry = Some((p, t));
            continue;
        }
        if t == text.len() {
            return p == pattern.len();
        }
        if let Some(next) = one(pattern, p, text[t], case) {
            (p, t) = (next, t + 1);
            continue;
        }
        let Some((star, from)) = retry else { return false };
        retry = Some((star, from + 1));
        (p, t) = (star, from + 1);
    }
}

/// Matches one byte against the element at `p`; the position after the element if it fits.
fn one(pattern: &[u8], p: usize, byte: u8, case: bool) -> Option<usize> {
    let fold = |byte: u8| if case { byte } else { byte.to_ascii_lowercase() };
    match pattern.get(p)? {
        b'?' => Some(p + 1),
        b'[' => {
            let (fits, next) = class(pattern, p + 1, fold(byte), fold);
            fits.then_some(next)
        }
        b'\\' if p + 1 < pattern.len() => (fold(pattern[p + 1]) == fold(byte)).then_some(p + 2),
        literal => (fold(*literal) == fold(byte)).then_some(p + 1),
    }
}

/// Matches a byte against the class whose first element is at `p`; also where the class ends.
fn class(pattern: &[u8], mut p: usize, byte: u8, fold: impl Fn(u8) -> u8) -> (bool, usize) {
    let negated = pattern.get(p) == Some(&b'^');
    p += usize::from(negated);
    let mut fits = false;
    loop {
        match pattern.get(p) {
            None => return (fits != negated, pattern.len()),
            Some(b']') => return (fits != negated, p + 1),
            Some(b'\\') if p + 1 < pattern.len() => {
                fits |= fold(pattern[p + 1]) == byte;
                p += 2;
            }
            Some(&low) if pattern.get(p + 1) == Some(&b'-') && p + 2 < pattern.len() => {
                let (low, high) = (fold(low), fold(pattern[p + 2]));
                fits |= (low.min(high)..=low.max(high)).contains(&byte);
                p += 3;
            }
            Some(&literal) => {
                fits |= fold(literal) == byte;
                p += 1;
            }
        }
    }
}

/// The only key that a pattern without wildcards can match.
pub(crate) fn is_literal(pattern: &[u8]) -> bool {
    !pattern.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_redis_does() {
        let yes = [
            ("", ""),
            ("a*", "a"),
            ("*", "a"),
            ("h?llo", "hello"),
            ("h*llo", "hllo"),
            ("h[ae]llo", "hallo"),
            ("h[^e]llo", "hallo"),
            ("h[a-b]llo", "hbllo"),
            ("h[b-a]llo", "hallo"),
            ("\\*", "*"),
            ("a*b*c", "aXXbYYc"),
            ("[abc", "a"),
            ("a\\", "a\\"),
            ("[\\]]", "]"),
            ("**a", "xxa"),
        ];
        for (pattern, text) in yes {
            assert!(matches(pattern.as_bytes(), text.as_bytes(), true), "{pattern} {text}");
        }
        let no = [
            ("h?llo", "hllo"),
            ("h[^e]llo", "hello"),
            ("\\*", "a"),
            ("", "a"),
            ("**", ""),
            ("a*b", "a"),
            ("[]", "a"),
            ("a?", "a"),
            ("A", "a"),
        ];
        for (pattern, text) in no {
            assert!(!matches(pattern.as_bytes(), text.as_bytes(), true), "{pattern} {text}");
        }
        assert!(matches(b"MaxMem*", b"maxmemory", false));
    }

    #[test]
    fn many_stars_do_not_explode() {
        let pattern = "a*".repeat(40) + "b";
        let text = "a".repeat(5000);
        assert!(!matches(pattern.as_bytes(), text.as_bytes(), true));
    }
}
