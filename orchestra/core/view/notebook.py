"""Small HTML for notebooks: a head with its badge, tables, and what is folded away; all escaped.

It knows no result and no plan. Colours fit light and dark pages, and where a page takes styles away
(as some that show notebooks do) plain tables are left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup

# `light-dark` follows the page: Jupyter and VS Code set color-scheme by their own theme.
STYLE = Markup("""<style>
.orchestra{font:13px/1.45 system-ui,-apple-system,"Segoe UI","PingFang SC","Noto Sans CJK SC",
sans-serif;max-width:900px;margin:.3em 0}
.orchestra .head{display:flex;flex-wrap:wrap;gap:.2em .9em;align-items:baseline;margin:0 0 .45em}
.orchestra .head b{font-size:1.1em;font-weight:600}
.orchestra .badge{color:#fff;border-radius:9px;padding:.05em .65em .1em;font-weight:600}
.orchestra .quiet,.orchestra td.quiet{opacity:.68}
.orchestra table{border-collapse:collapse;margin:.25em 0 .45em;border:0;font-size:1em}
.orchestra tr{background:transparent!important}
.orchestra th,.orchestra td{text-align:left!important;vertical-align:top;border:0;
padding:.22em .8em .22em 0;border-bottom:1px solid rgba(128,128,128,.25);max-width:30em;
overflow-wrap:anywhere;background:transparent;white-space:normal}
.orchestra th{font-weight:600;opacity:.68;white-space:nowrap}
.orchestra td.number,.orchestra th.number{text-align:right!important;
font-variant-numeric:tabular-nums;white-space:nowrap}
.orchestra mark{background:rgba(240,190,60,.35);color:inherit;padding:0 .15em;border-radius:2px}
.orchestra p{margin:.2em 0}.orchestra .say{font-size:1.1em;margin:.2em 0 .5em;white-space:pre-wrap}
.orchestra .clash{color:#a62b26;color:light-dark(#a62b26,#f39a93);font-weight:600}
.orchestra summary{cursor:pointer;opacity:.68}
.orchestra .bar{display:flex;gap:2px;height:7px;border-radius:4px;overflow:hidden;margin:.3em 0}
</style>""")
COLOURS = {
    "complete": "#23794a",
    "review": "#a8660f",
    "partial": "#2d5f8b",
    "failed": "#a62b26",
    "waiting": "#6b4fa0",
}
GREY = "#6b7280"
Cell = str | Markup
Row = Sequence[Cell]


def view(*parts: Markup | None) -> str:
    """The whole of it, with its style."""
    body = Markup("").join(part for part in parts if part)
    return str(Markup('{}<div class="orchestra">{}</div>').format(STYLE, body))


def head(title: str, facts: Iterable[str] = (), status: str | None = None) -> Markup:
    """The first line: a badge for a `status`, the title, and facts in grey."""
    badge = Markup("")
    if status is not None:
        form = Markup('<span class="badge" style="background:{}">{}</span>')
        badge = form.format(COLOURS.get(status, GREY), status)
    grey = Markup('<span class="quiet">{}</span>').format(" · ".join(filter(None, facts)))
    return Markup('<div class="head">{}<b>{}</b>{}</div>').format(badge, title, grey)


def table(header: Row, rows: Iterable[Row], numbers: Iterable[int] = ()) -> Markup:
    """A table; the columns `numbers` stand to the right."""
    right = set(numbers)
    lines = [_row("th", header, right), *(_row("td", row, right) for row in rows)]
    return Markup("<table>{}</table>").format(Markup("").join(lines))


def _row(tag: str, cells: Row, right: set[int]) -> Markup:
    kinds = (Markup(' class="number"') if at in right else "" for at in range(len(cells)))
    form = Markup(f"<{tag}{{}}>{{}}</{tag}>")  # nosec B704 # cells are escaped as they come in
    made = (form.format(kind, cell) for kind, cell in zip(kinds, cells, strict=True))
    return Markup("<tr>{}</tr>").format(Markup("").join(made))


def line(label: str, text: Cell) -> Markup:
    """A line of text after its label."""
    return Markup('<p><span class="quiet">{}</span> {}</p>').format(label, text)


def folded_away(label: str, rows: Iterable[Row]) -> Markup | None:
    """Rows that are seen on a click; nothing without any."""
    shown = list(rows)
    if not shown:
        return None
    inner = Markup("<table>{}</table>").format(Markup("").join(_row("td", r, set()) for r in shown))
    return Markup("<details><summary>{} ({})</summary>{}</details>").format(
        label, len(shown), inner
    )


def bar(shares: Mapping[str, int]) -> Markup:
    """Counts by status as one coloured bar."""
    form = Markup('<span title="{0} {1}" style="flex:{1};background:{2}"></span>')
    parts = (form.format(name, n, COLOURS.get(name, GREY)) for name, n in shares.items() if n)
    return Markup('<div class="bar">{}</div>').format(Markup("").join(parts))
