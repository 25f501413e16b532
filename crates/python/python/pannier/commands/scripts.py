"""Commands of scripts and functions, and scripts as callable objects."""

from __future__ import annotations

import hashlib
from typing import Any, Optional, Sequence, Union

from ..exceptions import NoScriptError
from . import base
from .base import Key, Runner


class Script:
    """A script that is called like a function; it is cached by its hash when first called.

    >>> double = cache.register_script("return 2 * redis.call('GET', KEYS[1])")
    >>> double(keys=["n"])
    84
    """

    def __init__(self, client: "ScriptCommands", script: Union[str, bytes]) -> None:
        self.registered_client = client
        self.script = script
        source = script.encode() if isinstance(script, str) else script
        self.sha = hashlib.sha1(source, usedforsecurity=False).hexdigest()

    def __call__(
        self,
        keys: Sequence[Any] = (),
        args: Sequence[Any] = (),
        client: Optional["ScriptCommands"] = None,
    ) -> Any:
        """Runs it, with another cache or in a pipeline if one is given."""
        client = self.registered_client if client is None else client
        return client._run_script(self, (len(keys), *keys, *args))


class ScriptCommands(Runner):
    """Commands of scripts and functions."""

    def eval(self, script: Union[str, bytes], numkeys: int, *keys_and_args: Any) -> Any:
        """Runs a script of Lua."""
        return self._run(("EVAL", script, numkeys, *keys_and_args))

    def evalsha(self, sha: Union[str, bytes], numkeys: int, *keys_and_args: Any) -> Any:
        """Runs a cached script; NoScriptError when it is not."""
        return self._run(("EVALSHA", sha, numkeys, *keys_and_args))

    def eval_ro(self, script: Union[str, bytes], numkeys: int, *keys_and_args: Any) -> Any:
        """Runs a script that may not write."""
        return self._run(("EVAL_RO", script, numkeys, *keys_and_args))

    def script_load(self, script: Union[str, bytes]) -> Any:
        """Caches a script; its hash."""
        return self._run(("SCRIPT", "LOAD", script), base.text)

    def script_exists(self, *args: Union[str, bytes]) -> Any:
        """For several hashes, whether they are cached."""
        return self._run(("SCRIPT", "EXISTS", *args), lambda found: [bool(item) for item in found])

    def script_flush(self, sync_type: Optional[str] = None) -> Any:
        """Forgets all scripts."""
        words = () if sync_type is None else (sync_type,)
        return self._run(("SCRIPT", "FLUSH", *words), base.is_ok)

    def register_script(self, script: Union[str, bytes]) -> Script:
        """A script as something that can be called."""
        return Script(self, script)

    def function_load(self, code: Union[str, bytes], replace: bool = False) -> Any:
        """Loads a library of functions; its name."""
        return self._run(("FUNCTION", "LOAD", *base.flags(replace=replace), code))

    def fcall(self, function: Key, numkeys: int, *keys_and_args: Any) -> Any:
        """Calls a function."""
        return self._run(("FCALL", function, numkeys, *keys_and_args))

    def _run_script(self, script: Script, args: "tuple[Any, ...]") -> Any:
        try:
            return self._run(("EVALSHA", script.sha, *args))
        except NoScriptError:
            return self._run(("EVAL", script.script, *args))
