"""Spans from HTTP to engine, by OpenTelemetry's API; without it, or without an SDK, they are free.

It knows no exporter: who runs Orchestra chooses one in the usual way
(`opentelemetry-instrument`, or an SDK set up in code). No text, photo or key is put on a span.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

try:
    from opentelemetry import propagate, trace
except ImportError:  # comes with the `ray` extra; nothing is traced without it
    propagate = trace = None

TRACER = "orchestra"


def _is_off() -> bool:
    """Whether nobody chose an SDK and no span came in, so that a span would be heard by none."""
    return (
        trace is not None
        and isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
        and not trace.get_current_span().get_span_context().is_valid
    )


@contextmanager
def span(
    name: str, attributes: Mapping[str, Any] | None = None, parent: Mapping[str, str] | None = None
) -> Iterator[Any]:
    """A span around the block, or None where nothing is traced.

    `parent` is a carrier that another process sent (W3C `traceparent`), to go on with its trace
    where none is under way here: Ray Serve, with tracing on, has carried it over already.
    """
    if trace is None or propagate is None or _is_off():
        yield None
        return
    is_under_way = trace.get_current_span().get_span_context().is_valid
    above = propagate.extract(parent) if parent and not is_under_way else None
    tracer = trace.get_tracer(TRACER)
    # An error's message may quote the text or an address, so a span holds its type alone.
    with tracer.start_as_current_span(
        name,
        context=above,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as started:
        try:
            yield started
        except BaseException as error:
            started.set_status(trace.StatusCode.ERROR)
            started.set_attribute("error.type", type(error).__name__)
            raise


def carrier() -> dict[str, str]:
    """The current span as headers, to continue it in another process; empty without a span."""
    sent: dict[str, str] = {}
    if propagate is not None:
        propagate.inject(sent)
    return sent


def trace_id() -> str:
    """The current trace as 32 hexadecimal digits, for a log line; empty without a span."""
    if trace is None:
        return ""
    number = trace.get_current_span().get_span_context().trace_id
    return f"{number:032x}" if number else ""
