//! What somebody gets who depends on the library: packed crates, and a crate of his own.
//!
//! Packing is tested without the build that `cargo package` does behind it, which compiles all
//! dependencies anew under another profile: a second instead of minutes. What that build would
//! find (files that stayed behind, dependencies without a version) is looked for in the packages;
//! `make package` does the whole.
//!
//! The fresh crate depends on `pannier` by path, in a workspace of its own, as a user's does. It
//! is built offline with our lock file and into our target folder, so that what is compiled there
//! already is used; the first time takes a minute, later ones a second or two. It runs with default
//! features off, where no runtime may be in the tree, on, and with `serde`; the last program is
//! made of what the pages for users show in Rust.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// What cargo prints, run in a folder.
fn cargo(folder: &Path, arguments: &[&str]) -> String {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(arguments)
        .arg("--offline")
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}:\n{errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The folders of all crates that are packed, and their names.
fn packed() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let folder = entry.unwrap().path();
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        if !manifest.contains("\npublish = false") {
            let name = manifest.lines().find_map(|line| line.strip_prefix("name = "));
            found.push((folder, name.unwrap().trim_matches('"').to_owned()));
        }
    }
    found
}

/// Every `include_str!` and `include_bytes!` of a source file, as paths beside it.
fn included(source: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(source).unwrap();
    let paths = text.split("include_").skip(1).filter_map(|rest| {
        let (_, rest) = rest.split_once("!(\"")?;
        Some(rest.split_once('"')?.0.to_owned())
    });
    paths.map(|path| source.parent().unwrap().join(path)).collect()
}

#[test]
fn the_library_packs_with_all_crates_that_it_needs() {
    let packed = packed();
    assert_eq!(packed.len(), 11, "{packed:?}");
    let mut arguments = vec!["package", "--quiet", "--no-verify", "--allow-dirty"];
    arguments.extend(packed.iter().flat_map(|(_, name)| ["-p", name]));
    cargo(root(), &arguments);
    for (folder, name) in &packed {
        let list = cargo(root(), &["package", "--quiet", "--list", "--allow-dirty", "-p", name]);
        let files: Vec<&str> = list.lines().collect();
        for wanted in ["Cargo.toml", "Cargo.lock", "LICENSE-APACHE", "LICENSE-MIT", "src/lib.rs"] {
            assert!(files.contains(&wanted), "{name} lacks {wanted}: {files:?}");
        }
        for file in files.iter().map(|file| folder.join(file)).filter(|file| file.exists()) {
            let len = fs::metadata(&file).unwrap().len();
            assert!(len < FILE_MAX, "{}: {len} bytes are too many to be packed", file.display());
            if file.extension().is_some_and(|extension| extension == "rs") {
                for other in included(&file) {
                    let other = other.canonicalize().unwrap();
                    let inside = other.strip_prefix(folder).unwrap_or_else(|_| {
                        panic!("{} includes {}", file.display(), other.display())
                    });
                    assert!(files.contains(&inside.to_str().unwrap()), "{name} lacks {inside:?}");
                }
            }
        }
    }
}

#[test]
fn a_fresh_crate_builds_and_runs_with_default_features_off_and_on_and_with_serde() {
    let shown = shown();
    let all = (
        "features = [\"serde\"]",
        &*shown,
        &["pannier-server", "rustls", "serde_json", "tokio"][..],
    );
    for (features, program, tree) in FRESH.into_iter().chain([all]) {
        let folder = fresh(features, program);
        let printed = cargo(&folder, &["run", "--quiet"]);
        assert!(printed.ends_with("it works\n"), "with {features}: {printed}");
        let found = cargo(&folder, &["tree", "--edges", "normal", "--prefix", "none"]);
        let names: Vec<&str> =
            found.lines().filter_map(|line| line.split_whitespace().next()).collect();
        for name in SOMETIMES {
            assert_eq!(names.contains(name), tree.contains(name), "{name} with {features}");
        }
    }
}

/// A program of all that the pages for users show in Rust, a function for each.
fn shown() -> String {
    let mut functions = String::new();
    let mut calls = String::new();
    for page in ["README.md", "docs/guides/embedding.md", "docs/guides/testing.md"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        let blocks = text.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next());
        // What needs a framework is an example of its own, which has tests.
        for block in blocks.filter(|block| !block.contains("SessionStore")) {
            let name = format!("shown_{}", calls.lines().count());
            functions += &format!("fn {name}() -> Outcome {{\n{GIVEN}\n{block}\nOk(())\n}}\n");
            calls += &format!("{name}()?;\n");
        }
    }
    format!(
        "#![allow(unused)]\nuse pannier::*;\nuse std::time::Duration;\n\
         type Outcome = Result<(), Box<dyn std::error::Error>>;\n{functions}\
         fn main() -> Outcome {{\n{calls}println!(\"it works\");\nOk(())\n}}\n"
    )
}

/// Makes a crate that depends on the library.
fn fresh(features: &str, program: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fresh");
    fs::create_dir_all(folder.join("src")).unwrap();
    // The registry's crates as the workspace compiles them; ours for the shortest build.
    let ours: String = packed()
        .iter()
        .map(|(_, name)| format!("[profile.dev.package.{name}]\nopt-level = 0\n"))
        .collect();
    let path = root().join("crates/pannier");
    let manifest = format!(
        "[package]\nname = \"fresh\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n\
         pannier = {{ path = {path:?}, {features} }}\n\
         [profile.dev.package.\"*\"]\nopt-level = 2\ndebug = false\n{ours}"
    );
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    fs::write(folder.join("src/main.rs"), program).unwrap();
    folder
}

/// Features, a program that needs them, and what of [`SOMETIMES`] is in the tree then.
const FRESH: [(&str, &str, &[&str]); 3] = [
    (
        "default-features = false",
        r#"fn main() -> Result<(), pannier::Error> {
            let cache = pannier::Cache::builder().max_entries(10).build()?;
            cache.set("it", "works")?;
            let value = cache.get("it")?.unwrap_or_default();
            println!("it {}", String::from_utf8_lossy(&value));
            Ok(())
        }"#,
        &[],
    ),
    (
        "default-features = true",
        r#"use std::io::{Read, Write};

        fn main() -> Result<(), Box<dyn std::error::Error>> {
            let cache = pannier::Cache::new();
            cache.set("it", "works")?;
            let server = pannier::Server::builder().cache(&cache).start()?;
            let mut client = std::net::TcpStream::connect(server.addr().ok_or("no address")?)?;
            client.write_all(b"GET it\r\n")?;
            let mut reply = [0; 11];
            client.read_exact(&mut reply)?;
            println!("it {}", String::from_utf8_lossy(&reply[4..9]));
            Ok(())
        }"#,
        &["pannier-server", "rustls", "tokio"],
    ),
    (
        r#"default-features = false, features = ["serde"]"#,
        r#"fn main() -> Result<(), pannier::Error> {
            let cache = pannier::Cache::new();
            cache.set_json("it", &[Some("works"), None], pannier::SetOptions::new())?;
            let value: Option<Vec<Option<String>>> = cache.get_json("it")?;
            println!("it {}", value.and_then(|words| words[0].clone()).unwrap_or_default());
            Ok(())
        }"#,
        &["serde_json"],
    ),
];

/// What the pages take for given.
const GIVEN: &str = r#"
    let cache = pannier::Cache::new();
    cache.list("jobs").push_back("a job, so that nobody waits for one")?;
    let render = |page: u64| format!("<h1>{page}</h1>");
"#;

/// What is in the tree with some features only.
const SOMETIMES: &[&str] =
    &["pannier-server", "rustls", "serde_json", "tikv-jemallocator", "tokio", "tracing-subscriber"];

/// Bytes of a file that is packed; the longest today is a corpus of numbers.
const FILE_MAX: u64 = 128 << 10;
