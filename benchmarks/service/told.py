"""What is printed of load that was made: rates, goodput, promises kept, refusals, CPU."""

from __future__ import annotations

import argparse
from collections import Counter
from statistics import quantiles

from benchmarks.service.load import Load, Spec, load
from benchmarks.service.server import Server

DEADLINES_MS = (1000.0, 2000.0, 5000.0)
LONG_MS = (10_000.0, 20_000.0)
NEVER_MS = (60_000.0,)  # a deadline that nobody misses: each job is planned as those with one are
WARM_S, CLIENTS = 6.0, 32


def capacity(
    server: Server,
    options: argparse.Namespace,
    seed: int = 2,
    key: str = "",
    latency_ms: tuple[float, ...] = NEVER_MS,
) -> float:
    """Answers a second that 32 clients get who ask again and again."""
    load(Spec(server.port, WARM_S, clients=8, seed=seed + 100, key=key))
    before = server.cpu_s()
    closed = load(
        Spec(
            server.port,
            options.capacity_seconds,
            clients=CLIENTS,
            seed=seed,
            key=key,
            latency_ms=latency_ms,
        )
    )
    cpu(server, before, closed)
    rate = sum(one.status == 200 for one in closed.records) / closed.seconds
    print(f"capacity   {rate:.1f} answers/s in a closed loop of {CLIENTS}; {shares(closed)}")
    print(f"           {times(closed)}")
    return rate


def cpu(server: Server, before: dict[str, float], made: Load) -> None:
    """CPU of the busiest processes meanwhile, for each answer."""
    answers = max(1, sum(one.status == 200 for one in made.records))
    used = {name: now - before.get(name, 0.0) for name, now in server.cpu_s().items()}
    busiest = sorted(used.items(), key=lambda pair: -pair[1])[:6]
    told = ", ".join(f"{name} {1000 * seconds / answers:.1f}" for name, seconds in busiest)
    print(f"cpu        {sum(used.values()) / made.seconds:.2f} cores; ms an answer: {told}")


def tell(made: Load, rate: float) -> None:
    """Goodput, promises kept, refusals."""
    let_in = [one for one in made.records if one.status in (200, 504)]
    refused = [one for one in made.records if one.status in (429, 503)]
    quick = sorted(one.took_s for one in refused)
    print(f"offered    {len(made.records)} in {window_s(made):.1f} s; {shares(made)}")
    print(f"goodput    {goodput(made):.1f}/s, {goodput(made) / rate:.1%} of capacity")
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


def window_s(made: Load) -> float:
    """Until the last request was sent."""
    return max((one.at_s for one in made.records), default=1.0)


def goodput(made: Load) -> float:
    """Answers in time a second while there was load; what the queue held at its end is left out."""
    until_s = window_s(made)
    ended = sum(one.is_good and one.at_s + one.took_s <= until_s for one in made.records)
    return ended / until_s


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
