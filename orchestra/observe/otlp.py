"""Where spans go when the usual variables say so: OTEL_EXPORTER_OTLP_ENDPOINT and its kin.

`orchestra run` and `orchestra batch` call `begin`; Ray Serve calls `processors` in each process of
`orchestra serve`. Nothing is imported and nothing sent where the variables are not set.
"""

from __future__ import annotations

import os
from typing import Any

from orchestra.core.errors import MissingExtra, UsageError
from orchestra.observe import export

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
SPOKEN = "http/protobuf"
SERVICE, SERVICE_NAME = "OTEL_SERVICE_NAME", "orchestra"
DELAY, DELAY_MS = "OTEL_BSP_SCHEDULE_DELAY", "1000"  # a process that is killed loses little
RATIOS = frozenset({"traceidratio", "parentbased_traceidratio"})


def is_wanted() -> bool:
    """Whether the environment names a place for spans, and does not switch them off."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if os.environ.get("OTEL_TRACES_EXPORTER", "otlp").strip() not in ("otlp", ""):
        return False
    return any(os.environ.get(name, "").strip() for name in ENDPOINTS)


def check() -> None:
    """Set what is set by default, for this process and those that it starts.

    Raises `MissingExtra` without the exporter, `UsageError` for a protocol that it does not speak
    and for a ratio that is none.
    """
    os.environ.setdefault(SERVICE, SERVICE_NAME)
    os.environ.setdefault(DELAY, DELAY_MS)
    for name in PROTOCOLS:
        if os.environ.get(name, SPOKEN).strip() not in (SPOKEN, ""):
            raise UsageError(
                f"{name}={os.environ[name]!r}: traces are sent as {SPOKEN!r} alone. Unset it, and "
                "name a collector's HTTP port (4318 is the usual one)."
            )
    sampling_ratio()
    _exporter()


def begin() -> None:
    """Send the spans of this process where the environment says; what is left at its end, too.

    Does nothing where it says nothing, or where an SDK was chosen already. Raises as `check`.
    """
    if not is_wanted():
        return
    check()
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return
    provider = TracerProvider()  # its resource and its sampler are the environment's
    for processor in processors():
        provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)


def processors() -> list[Any]:
    """Span processors for what this process was told: a collector, `export`'s file, or both."""
    found = export.to_file() if os.environ.get(export.TRACES_FILE) else []
    if is_wanted():
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        found.append(BatchSpanProcessor(_exporter()()))
    return found


def sampling_ratio() -> float:
    """The part of traces that is kept, for who sets up a sampler itself, as Ray Serve does."""
    if os.environ.get("OTEL_TRACES_SAMPLER", "").strip() not in RATIOS:
        return 1.0
    given = os.environ.get("OTEL_TRACES_SAMPLER_ARG", "1.0")
    try:
        ratio = float(given)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise UsageError(
            f"OTEL_TRACES_SAMPLER_ARG={given!r} is no ratio. Give a number from 0 to 1, or none."
        )
    return ratio


def _exporter() -> Any:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as cause:
        name = next(name for name in ENDPOINTS if os.environ.get(name))
        raise MissingExtra(
            f"{name} is set, and sending traces needs a package that is not installed "
            f"({cause.name!r}). Install it: pip install 'orchestra-fleet[otel]'; or unset it."
        ) from cause
    return OTLPSpanExporter
