//! Scripts against a server made of a few commands: what they see, what they may not, and how
//! they end. Replies and errors are those of Valkey 9.1.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use pannier_resp::{Protocol, Reply};
use pannier_script::{Ask, Failure, Interrupt, Machine, Versions};

const VERSIONS: Versions = Versions { name: "valkey", redis: "7.2.4", valkey: "9.1.2" };
const MEMORY_MAX: usize = 64 << 20;

fn machine() -> Machine {
    Machine::scripts(&VERSIONS, MEMORY_MAX).unwrap()
}

/// Answers ECHO, NIL, FAIL, MAP and LIST.
fn answer(question: &mut Ask) {
    match question {
        Ask::Call(call) => {
            let args = call.args.args();
            match args.get(0) {
                b"echo" => call.reply.bulk(args.get(1)),
                b"nil" => call.reply.null(),
                b"list" => {
                    call.reply.array(args.len() - 1);
                    args.iter().skip(1).for_each(|arg| call.reply.bulk(arg));
                }
                b"map" => {
                    call.reply.map(1);
                    call.reply.bulk(b"k");
                    call.reply.double(1.5);
                }
                _ => call.reply.error("ERR Unknown command called from script"),
            }
        }
        Ask::MayRun(args, may) => *may = (args.args().get(0) == b"echo").then_some(true),
        Ask::Continue(_) | Ask::Log(..) => {}
    }
}

fn run_in(machine: &Machine, text: &str, protocol: Protocol) -> Result<String, Failure> {
    let script = machine.compile(text.as_bytes()).map_err(Failure::new)?;
    let mut reply = Reply::new(protocol);
    let keys: [&[u8]; 2] = [b"k1", b"k2"];
    machine.eval(&script, (&keys, &[b"a1"]), &mut answer, &mut reply)?;
    let mut bytes = Vec::new();
    reply.write_to(&mut bytes);
    Ok(String::from_utf8_lossy(&bytes).replace("\r\n", "|"))
}

fn run(text: &str) -> String {
    match run_in(&machine(), text, Protocol::Resp2) {
        Ok(reply) => reply,
        Err(failure) => String::from_utf8_lossy(&failure.reply()).into_owned(),
    }
}

fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(run(text), *expected, "{text}");
    }
}

#[test]
fn values_become_replies() {
    check(&[
        ("return 1", ":1|"),
        ("return 3.99", ":3|"),
        ("return 'abc'", "$3|abc|"),
        ("return true", ":1|"),
        ("return false", "$-1|"),
        ("return nil", "$-1|"),
        ("return {1,2,{3,'four'},true,false}", "*5|:1|:2|*2|:3|$4|four|:1|$-1|"),
        ("return {1,nil,3}", "*1|:1|"),
        ("return {ok='a\\r\\nb'}", "+a  b|"),
        ("return {err='MY bad'}", "MY bad"),
        ("return {double=3.5}", "$3|3.5|"),
        ("return {big_number='123'}", "$3|123|"),
        ("return {KEYS[1], KEYS[2], ARGV[1], #KEYS, #ARGV}", "*5|$2|k1|$2|k2|$2|a1|:2|:1|"),
        ("return redis.status_reply('FINE')", "+FINE|"),
        ("return redis.error_reply('abc')", "ERR abc"),
        ("return redis.error_reply('-FOO bar')", "FOO bar"),
        ("return redis.sha1hex('abc')", "$40|a9993e364706816aba3e25717850c26c9cd0d89d|"),
        ("return {redis.VALKEY_VERSION, redis.REDIS_VERSION_NUM}", "*2|$5|9.1.2|:459268|"),
    ]);
}

#[test]
fn commands_reply_in_the_protocol_that_the_script_chose() {
    let numbers = "return redis.call('list', 1, 2.5, 'x', 1e15)";
    check(&[
        ("return redis.call('echo', 'x')", "$1|x|"),
        (numbers, "*4|$1|1|$3|2.5|$1|x|$16|1000000000000000|"),
        ("return tostring(redis.call('nil'))", "$5|false|"),
        ("redis.setresp(3); return tostring(redis.call('nil'))", "$3|nil|"),
        ("redis.setresp(3); return redis.call('map').map.k.double * 2", ":3|"),
        ("return redis.call('map')[1]", "$1|k|"),
        ("return redis.acl_check_cmd('echo', 'x')", ":1|"),
    ]);
    let map = "redis.setresp(3); return redis.call('map')";
    let reply = run_in(&machine(), map, Protocol::Resp3).unwrap();
    assert_eq!(reply, "%1|$1|k|,1.5|");
}

#[test]
fn errors_say_where_they_happened() {
    let at = |text: &str| format!("ERR {text} script: on @user_script:1.");
    let text = "ERR Unknown command called from script";
    let unknown = format!("{text} script: on @user_script:1.");
    let bulk = format!("$38|{text}|");
    let catch = "return select(2, xpcall(function() redis.call('nosuch') end, \
                 function(e) return e.err end))";
    let resume = "local c = coroutine.create(function() redis.call('nosuch') end) \
                  return select(2, coroutine.resume(c))";
    let third = "ERR user_script:3: attempt to index local 'a' (a nil value) \
                 script: on @user_script:3.";
    check(&[
        ("return redis.call('nosuch')", &unknown),
        ("local x = redis.call('nosuch')", &unknown),
        ("return redis.pcall('nosuch')", text),
        ("return redis.pcall('nosuch').err", &bulk),
        ("return select(2, pcall(redis.call, 'nosuch'))", &bulk),
        ("return redis.call()", &at("Please specify at least one argument for this call")),
        ("return redis.call({})", &at("Command arguments must be strings or integers")),
        ("error('foo')", &at("user_script:1: foo")),
        ("error('foo', 0)", &at("foo")),
        ("error({err='MY bad'})", "MY bad script: on @user_script:1."),
        ("error({})", &at("unknown error")),
        ("\nlocal a\nreturn a.b", third),
        ("return 1 + nil", &at("user_script:1: attempt to perform arithmetic on a nil value")),
        ("return select(2, pcall(function() error('foo') end))", "$18|user_script:1: foo|"),
        ("return type(select(2, pcall(error, {foo=1})))", "$5|table|"),
        (catch, &bulk),
        (resume, &bulk),
        ("x y", "user_script:1: '=' expected near 'y'"),
    ]);
}

#[test]
fn what_scripts_share_cannot_be_changed() {
    let at = |text: &str| format!("ERR {text} script: on @user_script:1.");
    let read_only = at("user_script:1: Attempt to modify a readonly table");
    let bare = at("Attempt to modify a readonly table");
    let absent = |name: &str| {
        at(&format!(
            "user_script:1: Script attempted to access nonexistent global variable '{name}'"
        ))
    };
    check(&[
        ("return x", &absent("x")),
        ("return print", &absent("print")),
        ("x = 1", &read_only),
        ("_G = {}", &read_only),
        ("redis.call = 1", &read_only),
        ("string.rep = nil", &read_only),
        ("getmetatable('').__index = 1", &read_only),
        ("getmetatable(_G).__index = 1", &read_only),
        ("setmetatable(_G, {})", &bare),
        ("rawset(_G, 'a', 1)", &bare),
        ("table.insert(redis, 'a')", &bare),
        ("return tostring(getmetatable('').__index.x)", "$3|nil|"),
        (
            "return {tostring(rawget(_G, 'nope')), type(next(_G)), #redis}",
            "*3|$3|nil|$6|string|:0|",
        ),
        ("local n = 0 for k in pairs(bit) do n = n + 1 end return n", ":12|"),
        ("return loadstring('return 5')()", ":5|"),
        ("return loadstring(string.dump(function() end))", "$-1|"),
        ("return type(os.clock()) .. type(os.time)", "$9|numbernil|"),
    ]);
}

#[test]
fn what_grows_without_end_is_an_error() {
    let ends = |text: &str, word: &str| {
        let reply = run(text);
        assert!(reply.contains(word), "{text}: {reply}");
    };
    ends("local function f() return 1 + f() end return f()", "stack overflow");
    ends("local s = 'x' while true do s = s .. s end", "not enough memory");
    ends("return string.rep('x', 1e10)", "not enough memory");
    ends("local t = {} while true do t[#t + 1] = {} end", "not enough memory");
    ends("return string.find('', string.rep('a?', 1e6))", "pattern too long");
    ends("local a = {} a[1] = a return a", "reached lua stack limit");
    ends("local t = {} t.a = t return cjson.encode(t)", "excessive nesting (1001)");
    let index =
        "local t = {} setmetatable(t, {__index = function(t, k) return t[k] end}) return t.x";
    ends(index, "stack overflow");
    ends("return cjson.decode(string.rep('[', 1100))", "too many nested");
    ends("return #unpack({}, 1, 1e8)", "too many results");
}

#[test]
fn an_error_leaves_the_machine_usable() {
    let machine = machine();
    for text in ["while true do local s = string.rep('x', 1e9) end", "error('a')", "x = 1"] {
        assert!(run_in(&machine, text, Protocol::Resp2).is_err());
        assert_eq!(run_in(&machine, "return 1", Protocol::Resp2).unwrap(), ":1|");
    }
}

#[test]
fn a_script_is_killed_whatever_it_catches() {
    let machine = machine();
    let texts = [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local function f() while true do end end \
         while true do coroutine.resume(coroutine.create(f)) end",
    ];
    for text in texts {
        let script = machine.compile(text.as_bytes()).unwrap();
        let mut asked = 0;
        let mut answer = |question: &mut Ask| {
            if let Ask::Continue(verdict) = question {
                asked += 1;
                *verdict = (asked > 2).then_some(Interrupt::Killed);
            }
        };
        let mut reply = Reply::new(Protocol::Resp2);
        let failure = machine.eval(&script, (&[], &[]), &mut answer, &mut reply).unwrap_err();
        let reply = String::from_utf8(failure.reply()).unwrap();
        let killed = "ERR Script killed by user with SCRIPT KILL.";
        assert!(reply.starts_with(killed), "{text}: {reply}");
        let count = "local n = 0 for i = 1, 1e6 do n = n + 1 end return n";
        assert_eq!(run_in(&machine, count, Protocol::Resp2).unwrap(), ":1000000|");
    }
}

#[test]
fn json_is_that_of_cjson() {
    let at = |text: &str| format!("ERR user_script:1: {text} script: on @user_script:1.");
    check(&[
        ("return cjson.encode({})..cjson.encode({1,2,3.5})", "$11|{}[1,2,3.5]|"),
        ("return cjson.encode({a=cjson.null})", "$10|{\"a\":null}|"),
        ("return cjson.encode({[1]=1,[2]=2,[4]=4})", "$12|[1,2,null,4]|"),
        ("return cjson.encode(1e100)..cjson.encode(0.1)", "$9|1e+1000.1|"),
        ("return cjson.encode('a/b\"\\\\\\n\\127')", "$18|\"a\\/b\\\"\\\\\\n\\u007f\"|"),
        ("return cjson.encode(0/0)", &at("Cannot serialise number: must not be NaN or Inf")),
        (
            "return cjson.encode({[1000]=2})",
            &at("Cannot serialise table: excessively sparse array"),
        ),
        (
            "return cjson.encode({[true]=1})",
            &at("Cannot serialise boolean: table key must be a number or string"),
        ),
        ("return cjson.encode(pcall)", &at("Cannot serialise function: type not supported")),
        ("cjson.encode_sparse_array(true) return cjson.encode({[1000]=1})", "$10|{\"1000\":1}|"),
        ("return cjson.decode('[1,[2,{\"a\":null}],\"\\\\u00e9\"]')[3]", "$2|é|"),
        ("return tostring(cjson.decode('null') == cjson.null)", "$4|true|"),
        ("return tostring(cjson.decode('0x10'))", "$2|16|"),
        (
            "return cjson.decode('{')",
            &at("Expected object key string but found T_END at character 2"),
        ),
        (
            "return cjson.decode('[1 2]')",
            &at("Expected comma or array end but found T_NUMBER at character 4"),
        ),
        (
            "return cjson.decode('\"abc')",
            &at("Expected value but found unexpected end of string at character 5"),
        ),
        ("return cjson.decode('1 2')", &at("Expected the end but found T_NUMBER at character 3")),
        (
            "return cjson.decode('nul')",
            &at("Expected value but found invalid token at character 1"),
        ),
        ("return cjson.decode('-')", &at("Expected value but found invalid number at character 1")),
        ("return cjson.encode(1, 2)", &at("bad argument #1 to 'encode' (expected 1 argument)")),
    ]);
}

#[test]
fn packed_values_come_back() {
    let at = |text: &str| format!("ERR user_script:1: {text} script: on @user_script:1.");
    let hex = "local s = cmsgpack.pack({1,{a=1}}, 'x', -1, 1.5, nil, true, 300) \
               local h = '' for i = 1, #s do h = h .. bit.tohex(s:byte(i), 2) end return h";
    let integers = "return {struct.unpack('>I2h<i4s', struct.pack('>I2h<i4s', 1, -2, -3, 'abc'))}";
    let words = "return {bit.band(0xff, 0x0f), bit.bnot(0), bit.lshift(1, 31), \
                 bit.arshift(-8, 1), bit.tobit(2^32 + 5)}";
    check(&[
        (hex, "$38|920181a16101a178ffca3fc00000c0c3cd012c|"),
        ("return cmsgpack.unpack(cmsgpack.pack({1,-300,70000,{'y',2.5}}))[3]", ":70000|"),
        ("return {cmsgpack.unpack_one(cmsgpack.pack(1,2))}", "*2|:1|:1|"),
        ("return cmsgpack.unpack('\\193')", &at("Bad data format in input.")),
        ("return cmsgpack.unpack('\\205')", &at("Missing bytes in input.")),
        (integers, "*5|:1|:-2|:-3|$3|abc|:13|"),
        ("return {struct.unpack('Bc0', struct.pack('Bc0', 3, 'abc'))}", "*2|$3|abc|:5|"),
        ("return struct.size('!8bd')", ":16|"),
        (
            "return struct.pack('q', 1)",
            &at("bad argument #1 to 'pack' (invalid format option 'q')"),
        ),
        (
            "return struct.unpack('i4', 'ab')",
            &at("bad argument #2 to 'unpack' (data string too short)"),
        ),
        (words, "*5|:15|:-1|:-2147483648|:-4|:5|"),
        ("return bit.tohex(255) .. bit.tohex(255, -4)", "$12|000000ff00FF|"),
        ("return bit.tohex()", &at("bad argument #1 to 'tohex' (number expected, got no value)")),
        ("math.randomseed(0) return {math.random(1, 1000000), math.random(10)}", "*2|:170829|:8|"),
    ]);
}

#[test]
fn many_arguments_are_handed_over() {
    let machine = machine();
    let script = machine.compile(b"return {#KEYS, #ARGV, ARGV[#ARGV]}").unwrap();
    let keys: Vec<&[u8]> = vec![b"k"; 20_000];
    let args: Vec<&[u8]> = vec![b"v"; 10_000];
    let mut reply = Reply::new(Protocol::Resp2);
    machine.eval(&script, (&keys, &args), &mut answer, &mut reply).unwrap();
    assert_eq!(reply.as_slice(), Some(&b"*3\r\n:20000\r\n:10000\r\n$1\r\nv\r\n"[..]));
}

#[test]
fn a_library_registers_functions_while_it_is_loaded() {
    let machine = Machine::functions(&VERSIONS, MEMORY_MAX).unwrap();
    let text = b"local r = redis
        r.register_function('f', function(k, a) return redis.call('echo', a[1] .. #k) end)
        r.register_function{function_name='g', callback=function() return 1 end,
            flags={'no-writes'}, description='d'}";
    let loaded = machine.load(text, &mut answer).unwrap();
    assert_eq!(loaded.functions.len(), 2);
    assert_eq!(loaded.functions[1].flags, pannier_script::flags::NO_WRITES);
    let mut reply = Reply::new(Protocol::Resp2);
    let args: [&[u8]; 1] = [b"x"];
    machine.call(&loaded.functions[0], (&args, &args), &mut answer, &mut reply).unwrap();
    assert_eq!(reply.as_slice(), Some(&b"$2\r\nx1\r\n"[..]));
    let late = b"local r = redis local function g() end
        r.register_function('f', function() r.register_function('h', g) end)";
    let late = machine.load(late, &mut answer).unwrap();
    let failure = machine.call(&late.functions[0], (&[], &[]), &mut answer, &mut reply);
    let message = String::from_utf8(failure.unwrap_err().message).unwrap();
    assert!(message.contains("can only be called on FUNCTION LOAD"), "{message}");
}
