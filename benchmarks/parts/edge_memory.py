"""Loads models in processes of their own: seconds to load, peak memory, and under a hard cap.

    python benchmarks/parts/edge_memory.py workers/checkpoints/r1 workers/checkpoints/v2

The cap is the address space (`RLIMIT_AS`), which the kernel holds a process to: it counts what is
mapped, so it is stricter than resident memory. Linux only.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

MIB = 1 << 20
CAPS_MIB = (512, 384, 256, 224, 192, 160, 128)
ROWS = 8
CHILD = """
import importlib, json, resource, sys, time
module, name, folder, rows = sys.argv[1:]
began = time.perf_counter(), time.process_time()
engine_class = getattr(importlib.import_module(module), name)
imported = time.perf_counter(), time.process_time()
engine = engine_class.load(folder, threads=1)
loaded = time.perf_counter(), time.process_time()
from orchestra.core.call import Call, Reply
span = {"anyOf": [{"type": "string", "x-span": True}, {"type": "null"}]}
schema = {"type": "object", "properties": dict.fromkeys(("name", "origin", "quantity"), span)}
text = "name: Golden Delicious\\ndescription: A sweet apple from Italy, ripe and ready, 500 g."
calls = [Call("Extract what the text states.", text, schema=schema)] * int(rows)
replies = engine.generate(calls)
assert all(isinstance(reply, Reply) for reply in replies), replies
print(json.dumps({
    "import_s": imported[0] - began[0], "import_cpu_s": imported[1] - began[1],
    "load_s": loaded[0] - imported[0], "load_cpu_s": loaded[1] - imported[1],
    "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "torch": "torch" in sys.modules, "answer": replies[0].text,
}))
"""


def cap(mib: int) -> None:
    """Hold this process to `mib` of address space."""
    resource.setrlimit(resource.RLIMIT_AS, (mib * MIB, mib * MIB))


def run(worker: str, folder: Path, cap_mib: int | None = None) -> dict[str, Any] | None:
    """What a process that loads `folder` says of itself; None when it does not get that far."""
    limit = None if cap_mib is None else partial(cap, cap_mib)
    command = [sys.executable, "-c", CHILD, *worker.split(":"), str(folder), str(ROWS)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, preexec_fn=limit, timeout=300
    )
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    if cap_mib is None:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return None


def main() -> None:
    """Parse the command line and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("r1", type=Path)
    parser.add_argument("v2", type=Path)
    given = parser.parse_args()
    edge = "workers.edge.engine:EdgeEngine"
    hosts = ((edge, given.v2), ("workers.onnx.engine:OnnxEngine", given.r1),
             ("workers.engine:TransformersEngine", given.r1))  # fmt: skip
    for worker, folder in hosts:
        run(worker, folder)  # the second time its files are in the page cache
        seen = run(worker, folder) or {}
        print(
            f"{folder.name} by {worker}: import {seen['import_s']:.2f} s "
            f"(CPU {seen['import_cpu_s']:.2f}), load {seen['load_s']:.2f} s (CPU "
            f"{seen['load_cpu_s']:.2f}), peak {seen['peak_mib']:.0f} MiB, "
            f"torch {'loaded' if seen['torch'] else 'absent'}",
            flush=True,
        )
    for mib in tqdm(CAPS_MIB, file=sys.stderr):
        found = run(edge, given.v2, mib)
        if found is None:
            print(f"capped at {mib} MiB of address space: it does not run")
            break
        print(f"capped at {mib} MiB of address space: {ROWS} rows answered, peak resident "
              f"{found['peak_mib']:.0f} MiB")  # fmt: skip


if __name__ == "__main__":
    main()
