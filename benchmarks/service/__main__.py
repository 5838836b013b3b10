"""How a served fleet does under more than it can do.

    python -m benchmarks.service overload --seconds 60 --times 5
    python -m benchmarks.service burst --count 400
    python -m benchmarks.service tenants
    python -m benchmarks.service slow
    python -m benchmarks.service overhead

A server of its own is started on loopback (`orchestra serve`, or with `--local` the same
application without Ray), load is made in another process. Everything shares one machine, so the
load average stands at the top of what is printed.
"""

from __future__ import annotations

import argparse
import os

from benchmarks.service import overhead, slow, tenants
from benchmarks.service.load import Spec, load
from benchmarks.service.server import Server, running
from benchmarks.service.told import (
    DEADLINES_MS,
    WARM_S,
    capacity,
    cpu,
    goodput,
    shares,
    tell,
    times,
)


def overload(options: argparse.Namespace) -> None:
    """So many times what it can do, at random times."""
    with running(is_local=options.local, more=_more(options)) as server:
        before = server.memory_mib()
        rate = capacity(server, options)
        used = server.cpu_s()
        made = load(
            Spec(
                server.port,
                options.seconds,
                rate=rate * options.times,
                latency_ms=DEADLINES_MS,
                seed=3,
            )
        )
        cpu(server, used, made)
        tell(made, rate)
        print(f"memory     {before:.0f} MiB before, {server.memory_mib():.0f} MiB after")
        recovered(server)
        rate = (rate + capacity(server, options, seed=9)) / 2
        good = goodput(made)
        print(f"goodput    {good / rate:.1%} of the mean of what it could do before and after")
        plain = capacity(server, options, seed=12, latency_ms=())
        print(f"           {good / plain:.1%} of what it could do of jobs without a deadline")


def recovered(server: Server) -> None:
    """How a request fares just after."""
    after = load(Spec(server.port, 4.0, clients=1, seed=5))
    first = after.records[0]
    print(
        f"recovery   the first request after it took {first.took_s * 1000:.0f} ms; {times(after)}"
    )


def burst(options: argparse.Namespace) -> None:
    """Many at one moment."""
    with running(is_local=options.local, more=_more(options)) as server:
        load(Spec(server.port, WARM_S, clients=8, seed=1))
        for name, latency_ms in (("no deadline", ()), ("5 s", (5000.0,))):
            made = load(Spec(server.port, 60, once=options.count, latency_ms=latency_ms, seed=4))
            good = sum(one.is_good for one in made.records)
            print(f"burst      {options.count} at once, {name}: {shares(made)}; {good} in time")
            print(f"           {times(made)}")
        print(f"memory     {server.memory_mib():.0f} MiB")
        recovered(server)


def _more(options: argparse.Namespace) -> tuple[str, ...]:
    return ("--max-ongoing", str(options.max_ongoing)) if options.max_ongoing else ()


COMMANDS = {
    "overload": overload,
    "burst": burst,
    "tenants": tenants.run,
    "slow": slow.run,
    "overhead": overhead.run,
}


def main() -> None:
    """Parse the command line and run one of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--local", action="store_true", help="without Ray")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--capacity-seconds", type=float, default=20.0)
    parser.add_argument("--times", type=float, default=5.0)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--max-ongoing", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=192)
    parser.add_argument("--concurrent", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keys", action="store_true", help="of overhead")
    options = parser.parse_args()
    print(f"# load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    COMMANDS[options.command](options)


if __name__ == "__main__":
    main()
