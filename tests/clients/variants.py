"""The ways in which redis-py can be set up: way in, protocol, parser."""

from redis import _parsers as parsers

VARIANTS = {
    f"{way}-resp{protocol}-{parser}": (way, protocol, parser)
    for way in ("tcp", "unix")
    for protocol in (2, 3)
    for parser in ("python", "hiredis")
}


def redis_py_options(server, variant, asyncio=False):
    """What redis-py is given for a way in, a protocol and a parser."""
    way, protocol, parser = VARIANTS[variant]
    if parser == "hiredis":
        name = "_AsyncHiredisParser" if asyncio else "_HiredisParser"
    else:
        name = f"_AsyncRESP{protocol}Parser" if asyncio else f"_RESP{protocol}Parser"
    options = {"protocol": protocol, "parser_class": getattr(parsers, name)}
    if way == "unix":
        return {"path": server.socket, **options}
    return {"host": server.host, "port": server.port, **options}
