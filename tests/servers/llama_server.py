"""Runs llama.cpp's own HTTP server on a GGUF file until its standard input is closed.

`python tests/servers/llama_server.py FILE KEY` prints the server's address once it answers.
"""

from __future__ import annotations

import sys
from typing import Any

import xllamacpp

llama: Any = xllamacpp  # a binary module without types


def main(path: str, key: str) -> None:
    """Serve `path` on a free port of this machine, to those who show `key`."""
    params = llama.CommonParams()
    params.model.path = path
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = 1024
    params.n_parallel = 1
    params.cpuparams.n_threads = 1
    params.api_keys = [key]
    server = llama.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
