"""Where spans go when `orchestra serve --traces FILE` asks for them: one JSON object a line.

Ray Serve calls `to_file` in each of its processes. On a cluster name an exporter of your own
under `tracing_config.exporter_import_path` of the deploy file.
"""

from __future__ import annotations

import os
from typing import Any

TRACES_FILE = "ORCHESTRA_TRACES"


def to_file() -> list[Any]:
    """Span processors that append to the file named by the environment variable.

    Raises `KeyError` when it is not set. Lines of several processes do not mix: each is one
    append.
    """
    # The `ray` extra brings it, and only a served process comes here.
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

    path = os.environ[TRACES_FILE]

    class LineExporter(ConsoleSpanExporter):
        """Appends and closes at once, so that nothing is held back when a process is killed."""

        def export(self, spans: Any) -> Any:
            with open(path, "a", encoding="utf-8") as file:
                self.out = file
                return super().export(spans)

    return [SimpleSpanProcessor(LineExporter(formatter=lambda span: span.to_json(None) + "\n"))]
