"""Certificates for the tests of TLS, made by openssl when they run.

An authority, what it has issued, and a foreign authority: nothing of it is kept, and every path is
an attribute. Servers are `localhost` and 127.0.0.1.
"""

import subprocess
from pathlib import Path

NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"
PASSWORD = "open sesame"

KEYS = {
    "rsa": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "ecdsa": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
}


class Certificates:
    """What a run of the tests needs, in one directory."""

    def __init__(self, openssl: str, directory: Path):
        """Makes all of it."""
        self.openssl = openssl
        self.directory = directory
        self.authority("ca")
        self.authority("foreign")
        for kind in KEYS:
            self.issue(kind, "ca", kind)
        self.issue("client", "ca")
        self.issue("stranger", "foreign")
        self.run(
            "pkcs8", "-topk8", "-in", self.key("rsa"), "-out", self.key("locked"),
            "-passout", f"pass:{PASSWORD}",
        )  # fmt: skip

    def cert(self, name: str) -> str:
        """The path of a certificate."""
        return str(self.directory / f"{name}.crt")

    def key(self, name: str) -> str:
        """The path of its private key."""
        return str(self.directory / f"{name}.key")

    def authority(self, name: str) -> None:
        """An authority of this name."""
        self.new_key(name, "ecdsa")
        self.run(
            "req", "-x509", "-new", "-key", self.key(name), "-out", self.cert(name),
            "-days", "2", "-subj", f"/CN={name}",
        )  # fmt: skip

    def issue(self, name: str, authority: str, kind: str = "ecdsa") -> None:
        """A certificate of an authority, for a server or a client."""
        self.new_key(name, kind)
        request, names = self.directory / "request", self.directory / "names"
        names.write_text(NAMES)
        self.run(
            "req", "-new", "-key", self.key(name), "-out", request, "-subj", f"/CN={name}"
        )
        self.run(
            "x509", "-req", "-in", request, "-CA", self.cert(authority),
            "-CAkey", self.key(authority), "-CAcreateserial", "-days", "2",
            "-extfile", names, "-out", self.cert(name),
        )  # fmt: skip

    def new_key(self, name: str, kind: str) -> None:
        """A key of its own."""
        self.run("genpkey", "-algorithm", *KEYS[kind], "-out", self.key(name))

    def run(self, *words) -> None:
        """Runs openssl."""
        line = [self.openssl, *map(str, words)]
        done = subprocess.run(line, capture_output=True, timeout=30)
        assert done.returncode == 0, (line, done.stderr)
