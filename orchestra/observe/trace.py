"""Spans from HTTP to engine, by OpenTelemetry's API; without it, or without an SDK, they are free.

It knows no exporter: who runs Orchestra chooses one in the usual way (`observe/otlp.py`,
`opentelemetry-instrument`, or an SDK set up in code). No text, photo or key is put on a span.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

try:
    from opentelemetry import context, propagate, trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError:  # comes with the `otel` and `ray` extras; nothing is traced without it
    context = propagate = trace = TraceContextTextMapPropagator = None

TRACER = "orchestra"
Kind = Literal["internal", "server", "client"]


def is_on() -> bool:
    """Whether a span would be heard: somebody chose an SDK, or a span came in."""
    return trace is not None and not (
        isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
        and not trace.get_current_span().get_span_context().is_valid
    )


@contextmanager
def span(
    name: str,
    attributes: Mapping[str, Any] | None = None,
    parent: Mapping[str, str] | None = None,
    kind: Kind = "internal",
) -> Iterator[Any]:
    """A span around the block, or None where nothing is traced.

    `parent` is a carrier that another process sent (W3C `traceparent`), to go on with its trace
    where that is not under way here already: Ray Serve, with tracing on, may have carried it over.
    """
    if trace is None or propagate is None or not is_on():
        yield None
        return
    tracer = trace.get_tracer(TRACER)
    # An error's message may quote the text or an address, so a span holds its type alone.
    with tracer.start_as_current_span(
        name,
        context=_above(parent),
        kind=getattr(trace.SpanKind, kind.upper()),
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as started:
        try:
            yield started
        except BaseException as error:
            mark(started, type(error).__name__)
            raise


def mark(span: Any, error: str) -> None:
    """Say that a span's work ended in an error of this type."""
    if trace is not None and span is not None:
        span.set_status(trace.StatusCode.ERROR)
        span.set_attribute("error.type", error)


def note(name: str, value: Any) -> None:
    """Set an attribute of the span under way."""
    if trace is not None and is_on():
        trace.get_current_span().set_attribute(name, value)


@contextmanager
def continued(parent: Mapping[str, str]) -> Iterator[None]:
    """Go on with the trace of a carrier that another process sent, without a span of its own."""
    above = _above(parent) if is_on() else None
    if context is None or above is None:
        yield
        return
    token = context.attach(above)
    try:
        yield
    finally:
        context.detach(token)


def _above(parent: Mapping[str, str] | None) -> Any:
    """The context that a carrier holds; None where there is none, or its trace is under way here.

    A trace that Ray began by itself, without a look at the caller's, is not gone on with.
    """
    if not parent or trace is None or propagate is None:
        return None
    found = propagate.extract(parent)
    sent = trace.get_current_span(found).get_span_context()
    here = trace.get_current_span().get_span_context()
    return found if sent.is_valid and sent.trace_id != here.trace_id else None


def carrier() -> dict[str, str]:
    """The current span as headers, to continue it in another process; empty without a span."""
    sent: dict[str, str] = {}
    if propagate is not None:
        propagate.inject(sent)
    return sent


def traceparent() -> dict[str, str]:
    """The current span as the one header that a server of somebody else is told; else empty."""
    sent: dict[str, str] = {}
    if TraceContextTextMapPropagator is not None:
        TraceContextTextMapPropagator().inject(sent)
    return {name: value for name, value in sent.items() if name == "traceparent"}


def trace_id() -> str:
    """The current trace as 32 hexadecimal digits, for a log line; empty without a span."""
    if trace is None:
        return ""
    number = trace.get_current_span().get_span_context().trace_id
    return f"{number:032x}" if number else ""
