"""Files as OpenAI's clients read them.

Source of the shapes: OpenAI's public API reference, "Files".
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from orchestra.book.filing.entries import FilePurpose
from orchestra.serving.list_page import ListPage


class FileObject(BaseModel):
    """What is known of a file; times are seconds since 1970."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int | None = None
    filename: str
    purpose: FilePurpose
    status: Literal["processed"] = "processed"


class FileList(ListPage[FileObject]):
    """Answer of GET /v1/files."""


class FileDeleted(BaseModel):
    """Answer of DELETE /v1/files/ID."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True
