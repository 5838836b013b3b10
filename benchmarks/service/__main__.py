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
from collections import Counter
from statistics import quantiles

from benchmarks.service import overhead, slow
from benchmarks.service.load import Load, Spec, load
from benchmarks.service.server import WEIGHTS, Server, running

DEADLINES_MS = (1000.0, 2000.0, 5000.0)
LONG_MS = (10_000.0, 20_000.0)  # long enough that there is a queue to be fair in
WARM_S, CLIENTS = 6.0, 32


def capacity(server: Server, options: argparse.Namespace, seed: int = 2) -> float:
    """Answers a second that 32 clients get who ask again and again."""
    load(Spec(server.port, WARM_S, clients=8, seed=seed + 100))
    before = server.cpu_s()
    closed = load(Spec(server.port, options.capacity_seconds, clients=CLIENTS, seed=seed))
    cpu(server, before, closed)
    rate = sum(one.status == 200 for one in closed.records) / closed.seconds
    print(f"capacity   {rate:.1f} answers/s in a closed loop of {CLIENTS}; {shares(closed)}")
    print(f"           {times(closed)}")
    return rate


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
        tell(made, rate, options)
        print(f"memory     {before:.0f} MiB before, {server.memory_mib():.0f} MiB after")
        recovered(server)
        rate = (rate + capacity(server, options, seed=9)) / 2
        good = sum(one.is_good for one in made.records) / options.seconds
        print(f"goodput    {good / rate:.1%} of the mean of what it could do before and after")


def cpu(server: Server, before: dict[str, float], made: Load) -> None:
    """CPU of the busiest processes meanwhile, for each answer."""
    answers = max(1, sum(one.status == 200 for one in made.records))
    used = {name: now - before.get(name, 0.0) for name, now in server.cpu_s().items()}
    busiest = sorted(used.items(), key=lambda pair: -pair[1])[:6]
    told = ", ".join(f"{name} {1000 * seconds / answers:.1f}" for name, seconds in busiest)
    print(f"cpu        {sum(used.values()) / made.seconds:.2f} cores; ms an answer: {told}")


def tell(made: Load, rate: float, options: argparse.Namespace) -> None:
    """Goodput, promises kept, refusals."""
    let_in = [one for one in made.records if one.status in (200, 504)]
    good = sum(one.is_good for one in made.records)
    refused = [one for one in made.records if one.status in (429, 503)]
    quick = sorted(one.took_s for one in refused)
    goodput = good / options.seconds
    print(f"offered    {len(made.records)} in {options.seconds:g} s; {shares(made)}")
    print(f"goodput    {goodput:.1f}/s, {goodput / rate:.1%} of capacity")
    if let_in:
        kept = sum(one.is_good for one in let_in) / len(let_in)
        print(
            f"promises   {kept:.2%} of {len(let_in)} that were let in ended before their deadline"
        )
    for given_s in sorted({one.latency_s or 0.0 for one in let_in}):
        those = [one for one in let_in if one.latency_s == given_s]
        late = [one.took_s - given_s for one in those if not one.is_good]
        worst = f", by {max(late):.2f} s at most" if late else ""
        print(f"           of {given_s:g} s: {len(those)} let in, {len(late)} late{worst}")
    if quick:
        again = sum(bool(one.retry_after) for one in refused)
        p50, p99 = (quick[int(len(quick) * share)] * 1000 for share in (0.5, 0.99))
        print(f"refusals   {len(refused)}, {again} with Retry-After", end="")
        print(f", in p50 {p50:.0f} ms, p99 {p99:.0f} ms")
    print(f"           making the load took {made.cpu_s / made.seconds:.2f} cores")


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


def tenants(options: argparse.Namespace) -> None:
    """Two tenants of weights 3 and 1, each with more than its share."""
    with running(is_local=True, more=_more(options)) as server:
        rate = capacity(server, options)
        made = load(
            Spec(
                server.port,
                options.seconds,
                rate=rate * options.times,
                latency_ms=LONG_MS,
                tenants=tuple(WEIGHTS),
                seed=6,
            )
        )
        tell(made, rate, options)
        good = Counter(one.tenant for one in made.records if one.is_good)
        print(f"tenants    heavy {good['heavy']}, light {good['light']}: ", end="")
        print(f"{good['heavy'] / max(1, good['light']):.2f} to 1")


def shares(made: Load) -> str:
    """How many of each status."""
    counts = Counter(f"{one.status} {one.code}".strip() for one in made.records)
    return ", ".join(f"{count} x {name}" for name, count in counts.most_common())


def times(made: Load) -> str:
    """Percentiles of those that were answered."""
    took = [one.took_s * 1000 for one in made.records if one.status == 200]
    if len(took) < 2:
        return f"{len(took)} answered"
    cuts = quantiles(took, n=100)
    return f"answered in p50 {cuts[49]:.0f} ms, p99 {cuts[98]:.0f} ms"


def _more(options: argparse.Namespace) -> tuple[str, ...]:
    return ("--max-ongoing", str(options.max_ongoing)) if options.max_ongoing else ()


COMMANDS = {
    "overload": overload,
    "burst": burst,
    "tenants": tenants,
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
