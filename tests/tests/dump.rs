//! Values exchanged with real servers through DUMP and RESTORE, both ways.
//!
//! Each value is made by commands on Valkey and on Redis, dumped there and restored on Pannier;
//! what Pannier then dumps is restored on the real servers, and on Pannier again. After each step
//! DEBUG DIGEST-VALUE must say the same everywhere: it is computed over the elements, not over
//! their encoding. A second time `rdbcompression` is off, and where both sides have the same
//! encoding and write it as the same type, the payloads must agree byte by byte up to the version.
//!
//! Rules: Redis 7.0 knows no payload of a version above 10, so what needs a later one is given to
//! Valkey alone. A missing server is skipped aloud, and an error where `CI=true`.

use pannier_tests::target::spawned::{Process, Spawner};
use pannier_tests::target::tcp::TcpClient;
use pannier_tests::target::{Protocol, Received, Value, oracle};
use pannier_tests::transcript::suite;

/// Bytes of version and checksum.
const FOOTER_LEN: usize = 10;
/// The highest version that Redis 7.0 reads.
const REDIS_VERSION: u16 = 10;

type Commands = Vec<Vec<Vec<u8>>>;

/// A server with a client.
struct Peer {
    name: &'static str,
    client: TcpClient,
    _process: Process,
}

/// A value, and what makes it under the key `k`.
struct Sample {
    title: String,
    commands: Commands,
    /// Whether all servers print its scores alike, in digests and packed.
    agreed: bool,
}

impl Peer {
    fn start(name: &'static str, found: Result<Spawner, String>) -> Option<Self> {
        let spawner = found.inspect_err(|why| suite::missing("dump", why)).ok()?;
        let directives = ["--enable-debug-command", "yes"].map(str::to_owned);
        let process = spawner.start(&directives).expect("the server starts");
        let client = process.connect(Protocol::Resp2).expect("the server accepts");
        Some(Self { name, client, _process: process })
    }

    fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Value {
        match self.client.call(args) {
            Received::Value(value) => value,
            other => panic!("{}: {other:?}", self.name),
        }
    }

    fn dump(&mut self, key: &str) -> Vec<u8> {
        match self.call(&["DUMP", key]) {
            Value::Bulk(payload) => payload,
            other => panic!("{}: DUMP {key}: {other:?}", self.name),
        }
    }

    fn restore(&mut self, key: &str, payload: &[u8], title: &str) {
        let args = [&b"RESTORE"[..], key.as_bytes(), b"0", payload, b"REPLACE"];
        let reply = self.call(&args);
        let head = &payload[..payload.len().min(100)];
        let said = format!("{title}: {} does not take {head:02x?}", self.name);
        assert_eq!(reply, Value::Simple("OK".to_owned()), "{said}");
    }

    fn digest(&mut self, key: &str) -> Value {
        self.call(&["DEBUG", "DIGEST-VALUE", key])
    }

    fn encoding(&mut self, key: &str) -> Value {
        self.call(&["OBJECT", "ENCODING", key])
    }
}

fn version(payload: &[u8]) -> u16 {
    let at = payload.len() - FOOTER_LEN;
    u16::from_le_bytes([payload[at], payload[at + 1]])
}

fn words(line: &str) -> Vec<Vec<u8>> {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

fn sample(title: impl Into<String>, commands: Commands) -> Sample {
    Sample { title: title.into(), commands, agreed: true }
}

/// Texts of all kinds: integers of every width, short and long, compressible and not.
fn texts() -> Vec<Vec<u8>> {
    let mut texts: Vec<Vec<u8>> = [
        "",
        "a",
        "0",
        "-1",
        "127",
        "128",
        "-129",
        "4095",
        "4096",
        "-4097",
        "32768",
        "-8388609",
        "2147483648",
        "-2147483649",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "007",
        "+1",
        "-0",
        "3.25",
        "hello world",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    texts.push(b"\x00\xff\r\n".to_vec());
    for len in [20, 21, 44, 63, 64, 65, 100, 300, 4096, 5000, 20_000, 70_000] {
        texts.push(vec![b'x'; len]);
        texts.push((0..len).map(|at| (at * at * 7919 / 13 % 251) as u8).collect());
        texts.push(b"{\"name\":\"value\",\"id\":7}".repeat(len / 23 + 1));
    }
    texts
}

fn strings() -> Vec<Sample> {
    let set = |text: Vec<u8>| {
        let title = format!("a string of {} bytes", text.len());
        sample(title, vec![vec![b"SET".to_vec(), b"k".to_vec(), text]])
    };
    texts().into_iter().map(set).collect()
}

/// Numbers of elements below and above the thresholds.
const COUNTS: [usize; 6] = [1, 2, 30, 128, 129, 700];

/// The commands that put elements in a hundred at a time, each made by `element`.
fn filled(head: &str, count: usize, element: impl Fn(usize) -> Vec<Vec<u8>>) -> Commands {
    let numbers: Vec<usize> = (0..count).collect();
    let some = |numbers: &[usize]| {
        let elements = numbers.iter().flat_map(|number| element(*number));
        words(head).into_iter().chain(elements).collect()
    };
    numbers.chunks(100).map(some).collect()
}

fn hashes() -> Vec<Sample> {
    let mut samples = Vec::new();
    for count in COUNTS {
        let pair = |n: usize| vec![format!("f{n}").into_bytes(), n.to_string().into_bytes()];
        samples.push(sample(format!("a hash of {count}"), filled("HSET k", count, pair)));
        let number = |n: usize| vec![(n * 7919).to_string().into_bytes(), vec![b'v'; n % 60]];
        let title = format!("a hash of {count} integers");
        samples.push(sample(title, filled("HSET k", count, number)));
    }
    for (at, text) in texts().into_iter().enumerate() {
        let args = [&b"HSET"[..], b"k", b"field", &text, &text, b"1"].map(<[u8]>::to_vec);
        samples.push(sample(format!("a hash with text {at}"), vec![args.to_vec()]));
    }
    samples
}

/// The bytes are the same; said with what is around the first difference.
fn assert_same(ours: &[u8], theirs: &[u8], title: &str) {
    let Some(at) = (0..ours.len().max(theirs.len())).find(|at| ours.get(*at) != theirs.get(*at))
    else {
        return;
    };
    let around = |bytes: &[u8]| bytes.iter().skip(at.saturating_sub(8)).take(24).copied().collect();
    let (ours, theirs): (Vec<u8>, Vec<u8>) = (around(ours), around(theirs));
    panic!("{title}: at {at} ours is ..{ours:02x?}.. and theirs ..{theirs:02x?}..");
}

/// Takes a value from a real server through Pannier and back.
fn exchange(sample: &Sample, real: &mut Peer, pannier: &mut Peer, other: &mut Peer, plain: bool) {
    let title = format!("{} of {}", sample.title, real.name);
    real.call(&["DEL", "k"]);
    for command in &sample.commands {
        if let Value::Error(error) = real.call(command) {
            panic!("{title}: {error}");
        }
    }
    let (digest, payload) = (real.digest("k"), real.dump("k"));
    pannier.restore("k", &payload, &title);
    let comparable = |peer: &Peer| sample.agreed || peer.name != "Redis";
    let ours = pannier.digest("k");
    if comparable(real) {
        assert_eq!(ours, digest, "{title}: Pannier reads something else");
    }
    let dumped = pannier.dump("k");
    let encoding = real.encoding("k");
    // A table's order is that of its hashes, and a long list may be cut into other nodes.
    let free = ["hashtable", "quicklist"].map(|name| Value::Bulk(name.into()));
    let ordered = !free.contains(&encoding);
    if plain
        && ordered
        && sample.agreed
        && dumped[0] == payload[0]
        && pannier.encoding("k") == encoding
    {
        let (len, theirs) = (dumped.len() - FOOTER_LEN, payload.len() - FOOTER_LEN);
        assert_same(&dumped[..len], &payload[..theirs], &title);
    }
    pannier.restore("again", &dumped, &title);
    assert_eq!(pannier.digest("again"), ours, "{title}: Pannier's own does not come back");
    let told = comparable(other);
    for (peer, expected) in [(other, Some(ours).filter(|_| told)), (real, Some(digest))] {
        if peer.name == "Redis" && version(&dumped) > REDIS_VERSION {
            continue;
        }
        peer.restore("again", &dumped, &title);
        if let Some(expected) = expected {
            assert_eq!(peer.digest("again"), expected, "{title}: {} differs", peer.name);
        }
    }
}

fn exchange_all(samples: &[Sample]) {
    let Some(mut pannier) = Peer::start("Pannier", oracle::pannier()) else { return };
    let Some(mut valkey) = Peer::start("Valkey", oracle::valkey()) else { return };
    let Some(mut redis) = Peer::start("Redis", oracle::redis()) else { return };
    for plain in [false, true] {
        for peer in [&mut pannier, &mut valkey, &mut redis] {
            let compress = if plain { "no" } else { "yes" };
            peer.call(&["CONFIG", "SET", "rdbcompression", compress]);
        }
        for sample in samples {
            exchange(sample, &mut valkey, &mut pannier, &mut redis, plain);
            exchange(sample, &mut redis, &mut pannier, &mut valkey, plain);
        }
    }
}

#[test]
fn strings_are_exchanged() {
    exchange_all(&strings());
}

/// Hashes with deadlines of fields go to and from Valkey alone.
#[test]
fn hashes_with_deadlines_are_exchanged() {
    let Some(mut pannier) = Peer::start("Pannier", oracle::pannier()) else { return };
    let Some(mut valkey) = Peer::start("Valkey", oracle::valkey()) else { return };
    for count in COUNTS {
        let pair = |n: usize| vec![format!("f{n}").into_bytes(), n.to_string().into_bytes()];
        valkey.call(&["DEL", "k"]);
        for command in filled("HSET k", count, pair) {
            valkey.call(&command);
        }
        for n in (0..count).step_by(3) {
            let at = (4_102_444_800_000 + n).to_string();
            valkey.call(&["HPEXPIREAT", "k", &at, "FIELDS", "1", &format!("f{n}")]);
        }
        pannier.restore("k", &valkey.dump("k"), "a hash with deadlines");
        let dumped = pannier.dump("k");
        valkey.restore("again", &dumped, "a hash with deadlines");
        assert_eq!(valkey.digest("again"), valkey.digest("k"));
        for n in 0..count {
            let field = format!("f{n}");
            let ask = |key| ["HPEXPIRETIME", key, "FIELDS", "1", &field].map(str::to_owned);
            let expected = valkey.call(&ask("k"));
            assert_eq!(valkey.call(&ask("again")), expected, "{count}: {field}");
        }
    }
}

#[test]
fn hashes_are_exchanged() {
    exchange_all(&hashes());
}

fn sets() -> Vec<Sample> {
    let mut samples = Vec::new();
    for count in COUNTS {
        for (scale, offset) in [(1, -5), (7919, -100_000), (1 << 40, 0)] {
            let number = |n: usize| vec![(n as i64 * scale + offset).to_string().into_bytes()];
            let title = format!("a set of {count} integers by {scale}");
            samples.push(sample(title, filled("SADD k", count, number)));
        }
        let member = |n: usize| vec![format!("m{n}").into_bytes()];
        samples.push(sample(format!("a set of {count}"), filled("SADD k", count, member)));
    }
    let every = texts().into_iter().enumerate();
    samples.extend(every.map(|(at, text)| {
        let args = [&b"SADD"[..], b"k", b"1", &text, b"x"].map(<[u8]>::to_vec);
        sample(format!("a set with text {at}"), vec![args.to_vec()])
    }));
    let args = [words("SADD k 1 2 x"), words("SREM k x")];
    samples.push(sample("a packed set of integers", args.to_vec()));
    samples
}

#[test]
fn sets_are_exchanged() {
    exchange_all(&sets());
}

fn sorted_sets() -> Vec<Sample> {
    let mut samples = Vec::new();
    let scores = [
        "0",
        "-1",
        "1.5",
        "3.14159265358979",
        "0.1",
        "1e100",
        "-1e-7",
        "9007199254740993",
        "inf",
        "-inf",
        "1e17",
        "123456789012",
        "5e-324",
        "-0.00001234",
        "4611686018427387904",
    ];
    for count in COUNTS {
        let spread = |n: usize| {
            let score = scores[n % scores.len()].as_bytes().to_vec();
            vec![score, format!("m{n}").into_bytes()]
        };
        let title = format!("a sorted set of {count}");
        let commands = filled("ZADD k", count, spread);
        samples.push(Sample { title, commands, agreed: false });
        let number = |n: usize| vec![(n / 3).to_string().into_bytes(), n.to_string().into_bytes()];
        let title = format!("a sorted set of {count} integers");
        samples.push(sample(title, filled("ZADD k", count, number)));
    }
    let every = texts().into_iter().enumerate();
    samples.extend(every.map(|(at, text)| {
        let args = [&b"ZADD"[..], b"k", b"1", &text, b"1.5", b"other"].map(<[u8]>::to_vec);
        sample(format!("a sorted set with text {at}"), vec![args.to_vec()])
    }));
    samples
}

#[test]
fn sorted_sets_are_exchanged() {
    exchange_all(&sorted_sets());
}

fn lists() -> Vec<Sample> {
    let mut samples = Vec::new();
    for count in COUNTS.into_iter().chain([5_000]) {
        let element = |n: usize| vec![format!("element {n}").into_bytes()];
        samples.push(sample(format!("a list of {count}"), filled("RPUSH k", count, element)));
        let number = |n: usize| vec![(n * 7919).to_string().into_bytes()];
        let title = format!("a list of {count} integers");
        samples.push(sample(title, filled("LPUSH k", count, number)));
    }
    let every = texts().into_iter().enumerate();
    samples.extend(every.map(|(at, text)| {
        let args = [&b"RPUSH"[..], b"k", b"1", &text, b"x", &text].map(<[u8]>::to_vec);
        sample(format!("a list with text {at}"), vec![args.to_vec()])
    }));
    samples
}

#[test]
fn lists_are_exchanged() {
    exchange_all(&lists());
}

fn streams() -> Vec<Sample> {
    let mut samples = Vec::new();
    for count in COUNTS {
        let entry =
            |n: usize| words(&format!("XADD k {}-{} name value{n} id {n}", 5 + n / 3, n % 3));
        let mut commands: Commands = (0..count).map(entry).collect();
        samples.push(sample(format!("a stream of {count}"), commands.clone()));
        commands.extend([words("XDEL k 5-0"), words("XADD k 9999-1 other field")]);
        samples.push(sample(format!("a stream of {count} with a gap"), commands.clone()));
        commands.extend([words("XGROUP CREATE k group 5-0"), words("XGROUP CREATE k none $")]);
        samples.push(sample(format!("a stream of {count} with groups"), commands.clone()));
        commands.push(words("XREADGROUP GROUP group one COUNT 3 STREAMS k >"));
        commands.push(words("XREADGROUP GROUP group two COUNT 2 STREAMS k >"));
        commands.push(words("XGROUP CREATECONSUMER k none idle"));
        samples.push(sample(format!("a stream of {count} with consumers"), commands));
    }
    let gone = [words("XADD k 1-1 a b"), words("XDEL k 1-1")];
    samples.push(sample("a stream without entries", gone.to_vec()));
    samples
}

#[test]
fn streams_are_exchanged() {
    exchange_all(&streams());
}

/// Libraries of functions, through FUNCTION DUMP and FUNCTION RESTORE.
#[test]
fn libraries_are_exchanged() {
    let Some(mut pannier) = Peer::start("Pannier", oracle::pannier()) else { return };
    let Some(mut valkey) = Peer::start("Valkey", oracle::valkey()) else { return };
    let Some(mut redis) = Peer::start("Redis", oracle::redis()) else { return };
    let text = |n: usize, padding: usize| {
        format!(
            "#!lua name=library{n}\n-- {}\nredis.register_function('f{n}', \
             function(keys, args) return {{{n}, #keys, args[1]}} end)",
            "padding ".repeat(padding)
        )
    };
    for compress in ["yes", "no"] {
        for peer in [&mut pannier, &mut valkey, &mut redis] {
            peer.call(&["CONFIG", "SET", "rdbcompression", compress]);
        }
        for (count, padding) in [(0, 0), (1, 0), (2, 5), (20, 40), (3, 20_000)] {
            let title = format!("{count} libraries, compressed: {compress}");
            for real in [&mut valkey, &mut redis] {
                let mut calls = vec![vec!["FUNCTION".to_owned(), "FLUSH".to_owned()]];
                calls.extend(
                    (0..count)
                        .map(|n| vec!["FUNCTION".to_owned(), "LOAD".to_owned(), text(n, padding)]),
                );
                for call in &calls {
                    let reply = real.call(call);
                    assert!(!matches!(reply, Value::Error(_)), "{title}: {reply:?}");
                }
                let theirs = libraries(real);
                assert_eq!(theirs.len(), count, "{title}");
                take_over(&mut pannier, real, &title);
                assert_eq!(libraries(&mut pannier), theirs, "{title}: Pannier reads other ones");
                real.call(&["FUNCTION", "FLUSH"]);
                take_over(real, &mut pannier, &title);
                assert_eq!(libraries(real), theirs, "{title}: {} reads other ones", real.name);
            }
            take_over(&mut redis, &mut pannier, &title);
            for n in 0..count {
                let call = |peer: &mut Peer| peer.call(&["FCALL", &format!("f{n}"), "0", "a"]);
                assert_eq!(call(&mut pannier), call(&mut valkey), "{title}");
                assert_eq!(call(&mut redis), call(&mut valkey), "{title}");
            }
        }
    }
}

/// Replaces the libraries of one server by those of another.
fn take_over(to: &mut Peer, from: &mut Peer, title: &str) {
    let Value::Bulk(payload) = from.call(&["FUNCTION", "DUMP"]) else {
        panic!("{title}: {} does not dump", from.name);
    };
    if to.name == "Redis" {
        assert!(version(&payload) <= REDIS_VERSION, "{title}: {}", from.name);
    }
    let reply = to.call(&[&b"FUNCTION"[..], b"RESTORE", &payload, b"FLUSH"]);
    assert_eq!(reply, Value::Simple("OK".to_owned()), "{title}: {} to {}", from.name, to.name);
}

/// What FUNCTION LIST says of each library, in order.
fn libraries(peer: &mut Peer) -> Vec<String> {
    let Value::Array(listed) = peer.call(&["FUNCTION", "LIST", "WITHCODE"]) else {
        panic!("{} lists nothing", peer.name);
    };
    let mut listed: Vec<String> = listed.iter().map(|library| format!("{library:?}")).collect();
    listed.sort();
    listed
}
