//! Links between the project's own pages: every relative link leads to a file or folder that is
//! there, and an anchor to a heading of that page.
//!
//! Pages are read line by line, not as Markdown trees: code fences and inline code are left out,
//! then every `](target)` and `[label]: target` counts. Addresses on the net are not opened, so
//! the check needs no network and never fails for somebody else's reason.
//!
//! Rules: a target is relative to its page; one that begins with `/` works nowhere but on one
//! machine and is refused. Anchors follow GitHub's rule (lower case, spaces to hyphens).
//!
//! Neighbours: `source` holds the files; the tests are at the bottom.

use std::collections::HashSet;

use super::Finding;
use super::source::File;

/// Checks the links of all pages among `files`; links may lead to any file of the project.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let root = crate::root();
    let pages = files.iter().filter(|file| file.path.ends_with(".md"));
    let exists = |path: &str| files.iter().any(|f| f.path == path) || root.join(path).exists();
    pages.flat_map(|page| check_page(page, files, &exists)).collect()
}

fn check_page(page: &File, files: &[File], exists: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    let mut found = Vec::new();
    for (line, target) in targets(&page.text) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
        let Some(path) = resolve(&page.path, path) else {
            let text = format!("link to `{target}` leaves the project: make it relative");
            found.push(Finding::error(page, line, text));
            continue;
        };
        if !exists(&path) {
            let text = format!("link to `{target}`: there is no {path}; correct it or remove it");
            found.push(Finding::error(page, line, text));
            continue;
        }
        let linked = files.iter().find(|file| file.path == path && path.ends_with(".md"));
        if let Some(linked) = linked.filter(|file| !anchor.is_empty() && !has_anchor(file, anchor))
        {
            let text = format!("link to `{target}`: {} has no such heading", linked.path);
            found.push(Finding::error(page, line, text));
        }
    }
    found
}

/// The path of a link from the root of the project; none when it leads out of it.
fn resolve(page: &str, link: &str) -> Option<String> {
    if link.is_empty() {
        return Some(page.to_owned());
    }
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            ".." => _ = parts.pop()?,
            "." => {}
            // a trailing slash names a folder; a leading one the root of a machine
            "" if parts.is_empty() || link.starts_with('/') => return None,
            "" => {}
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Link targets with their lines, code left out.
fn targets(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        let definition =
            line.trim_start().starts_with('[').then(|| line.split_once("]: ")).flatten();
        if let Some((_, target)) = definition {
            found.extend(target.split_whitespace().next().map(|target| (number, target)));
        }
        // Inline code is what lies between an odd and an even backtick.
        let mut ticks = 0;
        let mut rest = line;
        while let Some(at) = rest.find("](") {
            ticks += rest[..at].matches('`').count();
            rest = &rest[at + 2..];
            let target = rest.split([')', ' ']).next().unwrap_or("");
            if ticks % 2 == 0 {
                found.push((number, target));
            }
        }
    }
    found
}

/// Lines of a page outside of fenced code, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

fn has_anchor(page: &File, anchor: &str) -> bool {
    let headings = prose(&page.text).filter(|(_, line)| line.starts_with('#'));
    let slugs = headings.map(|(_, line)| slug(line.trim_start_matches('#').trim()));
    slugs.collect::<HashSet<_>>().contains(anchor)
}

fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Vec<String> {
        let page = File::new("docs/a.md", text);
        let files = [File::new("docs/b.md", "# One, two\n"), File::new("README.md", "")];
        let exists = |path: &str| path == "docs" || files.iter().any(|f| f.path == path);
        check_page(&page, &files, &exists).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_link_leads_somewhere() {
        let fine = "[b](b.md) [r](../README.md) [d](../docs/) [n](https://x.org/a)\n[x]: b.md\n";
        assert!(findings(fine).is_empty());
        let found = findings("\n[c](c.md)\n");
        assert_eq!(
            found,
            ["docs/a.md:2: link to `c.md`: there is no docs/c.md; correct it or remove it"]
        );
        assert!(findings("[x]: c.md\n")[0].contains("no docs/c.md"));
        assert!(findings("[x](/etc/passwd)")[0].contains("make it relative"));
        assert!(findings("[x](../../c.md)")[0].contains("make it relative"));
    }

    #[test]
    fn code_holds_no_links() {
        assert!(findings("```\n[c](c.md)\n```\n`a[0](c.md)`\n").is_empty());
    }

    #[test]
    fn an_anchor_names_a_heading() {
        assert!(findings("[b](b.md#one-two)").is_empty());
        assert!(findings("[b](b.md#three)")[0].contains("no such heading"));
    }
}
