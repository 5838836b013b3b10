"""Where spans go when `orchestra serve --traces FILE` asks for them: one JSON object a line.

Ray Serve calls `to_file` in each of its processes. On a cluster name an exporter of your own
under `tracing_config.exporter_import_path` of the deploy file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from orchestra.observe.bounded import MIB, append

TRACES_FILE = "ORCHESTRA_TRACES"
TRACES_MIB = "ORCHESTRA_TRACES_MIB"
DEFAULT_MIB = 256


def to_file() -> list[Any]:
    """Span processors that append to the file named by the environment variable.

    Raises `KeyError` when it is not set. Spans carry the service's name, which OpenTelemetry reads
    from OTEL_SERVICE_NAME; the oldest go when the file and the one before it hold their bound.
    """
    # The `ray` extra brings it, and only a served process comes here.
    from opentelemetry.sdk.trace.export import (
        SimpleSpanProcessor,
        SpanExporter,
        SpanExportResult,
    )

    path = Path(os.environ[TRACES_FILE])
    most = int(os.environ.get(TRACES_MIB, DEFAULT_MIB)) * MIB

    class LineExporter(SpanExporter):
        """Appends and closes at once, so that nothing is held back when a process is killed."""

        def export(self, spans: Any) -> Any:
            append(path, "".join(span.to_json(None) + "\n" for span in spans), most)
            return SpanExportResult.SUCCESS

    return [SimpleSpanProcessor(LineExporter())]
