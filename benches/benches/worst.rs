//! The slowest operation on large collections: five million elements, in process, no socket.
//!
//! ```text
//! cargo bench -p pannier-benches --bench worst [-- <type> [<elements>]]
//! ```
//!
//! For each type a collection grows element by element, then every command that Redis answers in
//! constant or logarithmic time runs 100,000 times on scattered elements, and at last the key is
//! deleted. Printed are the median, the 99.99th percentile and the slowest request, growth
//! included. None may take a millisecond: that is the longest that anybody else would wait for the
//! shard. A mean would hide just the rehash that this looks for.
//!
//! The figure is CPU time of the thread that runs the request (a page fault counts, being preempted
//! does not), each request executed alone. The clock itself costs about 0.3 us a request. Beside
//! other load the slowest are blurred by the machine, so what counts is what comes back in each
//! run. Without huge pages (`_RJEM_MALLOC_CONF=thp:never`) growth took 0.43 ms at most for a hash,
//! 0.50 a list, 0.68 a sorted set, 0.49 a stream and 0.48 a set, everything else below 0.6. With
//! them, as here, a few of five million insertions take 2 to 4 ms, in which the kernel makes room
//! for a huge page. It is no statistic over samples, so criterion has no part in it.
//!
//! Checked: no reply is an error, and the size of each collection is what was put into it.

use std::sync::Arc;

use pannier_benches::scattered;
use pannier_clock::Clock;
use pannier_engine::config::Config;
use pannier_engine::{ConnectionInfo, Engine, Mailbox, Next, Now, Session, Transport, run};
use pannier_resp::{Batch, Limits, Parser, Protocol, Reply};
use pannier_server::Options;
use rustix::time::{ClockId, clock_gettime};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What is measured of one type. In commands `#` is the number of the request, `?` a scattered
/// element's number.
struct Case {
    name: &'static str,
    grow: &'static str,
    /// Asks for the number of elements.
    size: &'static str,
    /// Run once, between growth and operations.
    prepare: &'static [&'static str],
    operations: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        name: "hash",
        grow: "HSET key field:# value:#",
        size: "HLEN key",
        prepare: &[],
        operations: &[
            "HGET key field:?",
            "HMGET key field:? field:#",
            "HEXISTS key field:?",
            "HSTRLEN key field:?",
            "HSET key field:? other",
            "HSETNX key field:? other",
            "HINCRBY key number:? 1",
            "HRANDFIELD key",
            "HSCAN key 0 COUNT 10",
            "HPEXPIRE key 1000000 FIELDS 1 field:?",
            "HTTL key FIELDS 1 field:?",
            "HPERSIST key FIELDS 1 field:?",
            "HGETDEL key FIELDS 1 field:?",
            "HDEL key field:?",
            "HLEN key",
        ],
    },
    Case {
        name: "list",
        grow: "RPUSH key element:#",
        size: "LLEN key",
        prepare: &[],
        operations: &[
            "LPUSH key element:#",
            "RPUSH key element:#",
            "LINDEX key 0",
            "LINDEX key -1",
            "LSET key 0 other:#",
            "LSET key -1 other:#",
            "LRANGE key 0 9",
            "LRANGE key -10 -1",
            "LMOVE key key LEFT RIGHT",
            "RPOPLPUSH key key",
            "LMOVE key other RIGHT LEFT",
            "LPOP key",
            "RPOP key",
            "LLEN key",
        ],
    },
    Case {
        name: "set",
        grow: "SADD key member:#",
        size: "SCARD key",
        prepare: &[],
        operations: &[
            "SADD key member:?",
            "SADD key another:#",
            "SISMEMBER key member:?",
            "SMISMEMBER key member:? another:#",
            "SRANDMEMBER key",
            "SMOVE key other member:?",
            "SMOVE other key member:?",
            "SINTERCARD 2 key other",
            "SSCAN key 0 COUNT 10",
            "SPOP key",
            "SREM key member:?",
            "SCARD key",
        ],
    },
    Case {
        name: "zset",
        grow: "ZADD key ? member:#",
        size: "ZCARD key",
        prepare: &[],
        operations: &[
            "ZADD key ? member:#",
            "ZADD key ? another:#",
            "ZINCRBY key 100 member:?",
            "ZSCORE key member:?",
            "ZMSCORE key member:? another:#",
            "ZRANK key member:?",
            "ZREVRANK key member:? WITHSCORE",
            "ZCOUNT key ? +inf",
            "ZLEXCOUNT key - +",
            "ZRANGE key ? ?",
            "ZRANGE key ? +inf BYSCORE LIMIT 0 10",
            "ZREVRANGE key ? ?",
            "ZRANDMEMBER key",
            "ZSCAN key 0 COUNT 10",
            "ZPOPMIN key",
            "ZPOPMAX key",
            "ZREMRANGEBYRANK key ? ?",
            "ZREM key member:?",
            "ZCARD key",
        ],
    },
    Case {
        name: "stream",
        grow: "XADD key 1-# field value:#",
        size: "XLEN key",
        prepare: &["XGROUP CREATE key group 0", "XGROUP CREATE key late $"],
        operations: &[
            "XADD key * field value:#",
            "XADD key MAXLEN = 5000000 * field value:#",
            "XADD key MAXLEN ~ 5000000 * field value:#",
            "XRANGE key 1-? + COUNT 1",
            "XREVRANGE key 1-? - COUNT 1",
            "XREAD COUNT 1 STREAMS key 1-?",
            "XREADGROUP GROUP group one COUNT 1 STREAMS key >",
            "XREADGROUP GROUP group one COUNT 1 STREAMS key 0",
            "XPENDING key group - + 1",
            "XACK key group 1-#",
            "XINFO STREAM key",
            "XDEL key 1-?",
            "XLEN key",
        ],
    },
];

/// Who asks.
struct Asker {
    engine: Arc<Engine>,
    session: Session,
    reply: Reply,
    now: Now,
    buf: Vec<u8>,
    batch: Batch,
}

impl Asker {
    fn new(engine: &Arc<Engine>) -> Self {
        let time = Clock::system().now();
        let now = Now { mono_us: time.mono_us, unix_us: time.unix_us };
        let info = ConnectionInfo {
            addr: "127.0.0.1:50000".into(),
            laddr: "127.0.0.1:0".into(),
            fd: -1,
            transport: Transport::Tcp,
            local: true,
            lane: engine.lane(),
            mailbox: Arc::new(Mailbox::default()),
        };
        let session = engine.connect(info, now);
        let (reply, batch) = (Reply::new(Protocol::Resp2), Batch::new());
        Self { engine: Arc::clone(engine), session, reply, now, buf: Vec::new(), batch }
    }

    /// Executes the request that `template` makes; its nanoseconds of CPU time.
    fn ask(&mut self, template: &str, number: u64, elements: u64) -> u64 {
        let any = scattered(number, elements).to_string();
        let request = template.replace('#', &number.to_string()).replace('?', &any);
        let words: Vec<&str> = request.split(' ').collect();
        self.buf.clear();
        self.buf.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            self.buf.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
        }
        self.batch.clear();
        let limits = Limits { authenticated: true, ..Limits::default() };
        Parser::new().parse(&self.buf, &limits, &mut self.batch, 1);
        self.reply.clear();
        let (source, reply) = ((&self.batch, self.buf.as_slice()), &mut self.reply);
        let began = cpu_ns();
        let ran = run(&self.engine, &mut self.session, source, 0..1, reply, self.now);
        let took = cpu_ns() - began;
        assert!(ran.executed == 1 && ran.next == Next::Ready, "{request}");
        took
    }

    /// The last reply, as it goes over the wire.
    fn answer(&self) -> String {
        let mut wire = Vec::new();
        self.reply.write_to(&mut wire);
        String::from_utf8_lossy(&wire).into_owned()
    }
}

/// CPU time of this thread.
fn cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Runs a command `count` times and prints what it took.
fn measure(asker: &mut Asker, template: &str, count: u64, elements: u64) {
    let mut times: Vec<u32> = (0..count)
        .map(|number| {
            let took = asker.ask(template, number, elements);
            let checked = number == 0 || number + 1 == count;
            assert!(!checked || !asker.answer().starts_with('-'), "{}", asker.answer());
            u32::try_from(took).unwrap_or(u32::MAX)
        })
        .collect();
    times.sort_unstable();
    let us = |part: f64| f64::from(times[((count - 1) as f64 * part) as usize]) / 1000.0;
    let slow = if us(1.0) >= 1000.0 { "  a millisecond or more" } else { "" };
    println!("{:9.2} {:9.1} {:9.1}  {template}{slow}", us(0.5), us(0.9999), us(1.0));
}

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let elements = chosen.iter().find_map(|word| word.parse().ok()).unwrap_or(5_000_000);
    let named = |case: &Case| chosen.iter().any(|word| word == case.name);
    let all = !CASES.iter().any(named);
    println!("microseconds of CPU time, {elements} elements");
    println!("{:>9} {:>9} {:>9}", "median", "99.99%", "slowest");
    for case in CASES.iter().filter(|case| all || named(case)) {
        let config = Config { port: 0, threads: 1, ..Config::default() };
        let options = Options { config, free_port: true, ..Options::default() };
        let running = pannier_server::start(options).expect("a server on a free port");
        let mut asker = Asker::new(running.engine());
        measure(&mut asker, case.grow, elements, elements);
        asker.ask(case.size, 0, 1);
        assert_eq!(asker.answer(), format!(":{elements}\r\n"), "{}", case.name);
        for template in case.prepare {
            asker.ask(template, 0, 1);
            assert_eq!(asker.answer(), "+OK\r\n", "{template}");
        }
        for template in case.operations {
            measure(&mut asker, template, OPERATIONS.min(elements), elements);
        }
        measure(&mut asker, "DEL key", 1, 1);
        drop(running);
    }
}

/// How often each command runs.
const OPERATIONS: u64 = 100_000;
