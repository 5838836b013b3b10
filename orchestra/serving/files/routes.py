"""The routes of files, in OpenAI's form."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import FastAPI, File, Form, Query, UploadFile
from fastapi.responses import FileResponse, Response

from orchestra.serving.documented import READING, Responses, errors
from orchestra.serving.files.shelf import LEAST_EXPIRES_S, Shelf, told
from orchestra.serving.files.words import FileDeleted, FileList, FileObject

RAW: Responses = {200: {"content": {"application/octet-stream": {"schema": {"type": "string"}}}}}
After = Annotated[str | None, Query(max_length=200)]


def add_files(app: FastAPI, shelf: Shelf) -> None:
    """The routes of files."""

    @app.post("/v1/files", responses=errors(409, 507))
    async def send(
        file: Annotated[UploadFile, File()],
        purpose: Annotated[Literal["batch", "vision", "user_data"], Form()],
        expires_anchor: Annotated[
            Literal["created_at"] | None, Form(alias="expires_after[anchor]")
        ] = None,
        expires_s: Annotated[
            int | None, Form(alias="expires_after[seconds]", ge=LEAST_EXPIRES_S, le=2_592_000)
        ] = None,
    ) -> FileObject:
        """Send a file: the lines of a batch, or a photo. One of a batch is kept for 30 days."""
        return await shelf.take(file.file, file.filename or "", purpose, expires_s)

    @app.get("/v1/files", responses=errors(*READING))
    async def files(
        purpose: Annotated[str | None, Query(max_length=40)] = None,
        after: After = None,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
        order: Literal["asc", "desc"] = "desc",
    ) -> FileList:
        """The files that are kept, the newest first."""
        return shelf.list(purpose, after, limit, newest=order == "desc")

    @app.get("/v1/files/{file_id}", responses=errors(*READING))
    async def file(file_id: str) -> FileObject:
        """What is known of one of them."""
        return told(shelf.find(file_id))

    @app.get(
        "/v1/files/{file_id}/content",
        response_class=Response,
        responses={**errors(*READING), **RAW},
    )
    async def content(file_id: str) -> Response:
        """Its bytes, as they were sent or as a batch wrote them; never to be shown as a page."""
        found = shelf.find(file_id)
        return FileResponse(
            shelf.filing.path_of(found.id),
            media_type="application/octet-stream",
            filename=found.filename,
            headers={"X-Content-Type-Options": "nosniff"},
        )

    @app.delete("/v1/files/{file_id}", responses=errors(*READING, 409))
    async def delete(file_id: str) -> FileDeleted:
        """Forget one. One that a batch under way reads stays."""
        shelf.delete(file_id)
        return FileDeleted(id=file_id)
