-- What scripts see, built from what Lua and Rust offer. Runs once per Lua state, before any script.
--
-- Lua 5.1 has no read-only tables, so what scripts share is seen through empty proxies: reading
-- falls through to the real table, writing is refused, and the functions of the standard library
-- that go past metatables are replaced by ones that know the proxies.

local host, shared_libraries, loading_api, allowed = ...

local error, getmetatable, setmetatable, type = error, getmetatable, setmetatable, type
local pcall, xpcall, next, pairs, ipairs = pcall, xpcall, next, pairs, ipairs
local rawget, rawset, select, byte = rawget, rawset, select, string.byte
local load, loadstring, resume = load, loadstring, coroutine.resume
local insert, find, match, gmatch, gsub = table.insert, string.find, string.match,
    string.gmatch, string.gsub
local handler, reraise, bare, as_table = host.handler, host.raise_reply, host.text, host.as_table

local READ_ONLY = 'Attempt to modify a readonly table'

local real_of = {}

local function refuse()
    error(READ_ONLY, 2)
end

local function sealed(real, shield)
    local proxy = {}
    local meta = { __index = real, __newindex = refuse, __metatable = shield }
    real_of[proxy] = real
    return setmetatable(proxy, meta), meta
end

local shield = sealed({}, false)

-- The real globals: only what is allowed.
local globals = {}
for name in pairs(allowed) do
    globals[name] = _G[name]
end

-- What an error is to whoever catches it.
local function settle(ok, err, ...)
    if ok then
        return ok, err, ...
    end
    local kind = type(err)
    if kind == 'userdata' then
        return false, bare(err)
    end
    if kind == 'table' and type(rawget(err, 'err')) == 'string' then
        return false, err.err
    end
    return false, err
end

function globals.pcall(...)
    return settle(pcall(...))
end

function globals.xpcall(body, catch)
    return xpcall(body, function(err)
        if type(err) == 'userdata' then
            err = as_table(err)
        end
        return catch(err)
    end)
end

local function expect_table(value, name, level)
    if type(value) ~= 'table' then
        local got = value == nil and 'no value' or type(value)
        error("bad argument #1 to '" .. name .. "' (table expected, got " .. got .. ')', level + 1)
    end
    return real_of[value] or value
end

function globals.pairs(t)
    return next, expect_table(t, 'pairs', 2), nil
end

function globals.next(t, key)
    return next(expect_table(t, 'next', 2), key)
end

function globals.rawget(t, key)
    return rawget(expect_table(t, 'rawget', 2), key)
end

function globals.rawset(t, key, value)
    if real_of[t] then
        reraise(READ_ONLY)
    end
    return rawset(t, key, value)
end

function globals.setmetatable(t, meta)
    if real_of[t] then
        reraise(READ_ONLY)
    end
    return setmetatable(t, meta)
end

-- Only text is loaded: the interpreter trusts compiled code blindly.
function globals.loadstring(text, name)
    if type(text) == 'string' and byte(text, 1) == 27 then
        return nil, 'attempt to load a binary chunk'
    end
    return loadstring(text, name)
end

function globals.load(reader, name)
    local first = true
    return load(function()
        local piece = reader()
        if first and type(piece) == 'string' and piece ~= '' then
            first = false
            if byte(piece, 1) == 27 then
                error('attempt to load a binary chunk', 0)
            end
        end
        return piece
    end, name)
end

local function copied(library)
    local copy = {}
    for name, value in pairs(library) do
        copy[name] = value
    end
    return copy
end

globals.coroutine = copied(coroutine)
globals.coroutine.resume = function(...)
    return settle(resume(...))
end

globals.table = copied(table)
globals.table.insert = function(t, ...)
    if real_of[t] then
        reraise(READ_ONLY)
    end
    return insert(t, ...)
end

globals.math = copied(math)
globals.math.random, globals.math.randomseed = host.random, host.randomseed

globals.os = { clock = os.clock }

-- Matching calls itself for each item of a pattern, on the stack of the thread.
local PATTERN_MAX = 10000
local function check(pattern)
    if type(pattern) == 'string' and #pattern > PATTERN_MAX then
        error('pattern too long', 3)
    end
end
globals.string = copied(string)
globals.string.find = function(text, pattern, ...)
    check(pattern)
    return find(text, pattern, ...)
end
globals.string.match = function(text, pattern, ...)
    check(pattern)
    return match(text, pattern, ...)
end
globals.string.gmatch = function(text, pattern)
    check(pattern)
    return gmatch(text, pattern)
end
globals.string.gfind = globals.string.gmatch
globals.string.gsub = function(text, pattern, ...)
    check(pattern)
    return gsub(text, pattern, ...)
end

for name, library in pairs(shared_libraries) do
    globals[name] = library
end
for name, value in pairs(globals) do
    if type(value) == 'table' then
        globals[name] = sealed(value, false)
    end
end

globals.server = globals.redis

local strings = getmetatable('')
strings.__index = real_of[globals.string]
strings.__metatable = sealed({ __index = globals.string }, false)

local missing = {
    __index = function(_, name)
        error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
    end,
}
setmetatable(globals, missing)
local environment, environment_meta = sealed(globals, shield)
globals._G = environment

-- All that a library sees while it is loaded. The functions that it defines keep the environment,
-- so it is the same one, looking elsewhere for a while.
local loading_globals = setmetatable({}, missing)
loading_globals.redis = sealed(setmetatable(loading_api, missing), false)
loading_globals.server = loading_globals.redis

local function with_one(name, ...)
    globals.KEYS = { name }
    globals.ARGV = { ... }
end

-- A table costs as much as a command, so few keys are told from the arguments without one.
local function eval(body, keys, ...)
    if keys == 0 then
        globals.KEYS = {}
        globals.ARGV = { ... }
    elseif keys == 1 then
        with_one(...)
    else
        local words, names, args = { ... }, {}, {}
        for i = 1, keys do
            names[i] = words[i]
        end
        for i = keys + 1, #words do
            args[i - keys] = words[i]
        end
        globals.KEYS = names
        globals.ARGV = args
    end
    return xpcall(body, handler)
end

local function eval_tables(body, keys, args)
    globals.KEYS = keys
    globals.ARGV = args
    return xpcall(body, handler)
end

local function call(body, keys, args)
    return xpcall(function()
        return body(keys, args)
    end, handler)
end

local function load_library(body)
    environment_meta.__index = loading_globals
    return xpcall(body, handler)
end

local function loaded()
    environment_meta.__index = globals
end

return environment, {
    eval = eval,
    eval_tables = eval_tables,
    call = call,
    load_library = load_library,
    loaded = loaded,
}
