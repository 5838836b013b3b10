"""Finds the folder of a checkpoint: a local folder, or a public id in the local cache.

A public id (`org/name` of Hugging Face) is looked up offline first. It is downloaded only
where the environment allows it (HF_HUB_OFFLINE is not set), and only the files that an engine
reads: JSON, chat templates and safetensors. It knows no model.
"""

from __future__ import annotations

from pathlib import Path

import httpx
from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError

from orchestra.core.errors import CheckpointInvalid
from orchestra.core.identity import PUBLIC_ID
from workers.loading.checkpoint import missing_files

READ = ("*.json", "*.jinja", "*.safetensors")


def find(checkpoint: Path | str) -> Path:
    """The folder of `checkpoint`: a path as it is, a public id where its files lie.

    Raises CheckpointInvalid, naming the command that fetches it, for an id that is neither in
    the local cache nor to be downloaded.
    """
    if isinstance(checkpoint, Path) or Path(checkpoint).is_dir():
        return Path(checkpoint)
    if not PUBLIC_ID.fullmatch(checkpoint):
        raise CheckpointInvalid(
            f"No checkpoint folder at {checkpoint!r}, and it is no public id either. Write the "
            "path of a folder, or 'organisation/name'."
        )
    cached = _cached(checkpoint)
    if cached is not None and not missing_files(cached):
        return cached
    if constants.HF_HUB_OFFLINE:
        lacks = f" (its copy lacks {missing_files(cached)[0]!r})" if cached else ""
        raise CheckpointInvalid(
            f"The public checkpoint {checkpoint!r} is not in the local cache "
            f"{str(constants.HF_HUB_CACHE)!r}{lacks}, no folder has that name, and "
            f"HF_HUB_OFFLINE is set. Fetch it once where there is a network: {_command(checkpoint)}"
        )
    return _download(checkpoint)


def _cached(checkpoint: str) -> Path | None:
    try:
        return Path(snapshot_download(checkpoint, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def _download(checkpoint: str) -> Path:
    try:
        return Path(snapshot_download(checkpoint, allow_patterns=list(READ)))
    except (OSError, ValueError, httpx.HTTPError) as error:
        raise CheckpointInvalid(
            f"The public checkpoint {checkpoint!r} cannot be downloaded: {error}. Check the name "
            f"and the network, or fetch it by hand: {_command(checkpoint)}"
        ) from error


def _command(checkpoint: str) -> str:
    included = " ".join(f"--include '{pattern}'" for pattern in READ)
    return f"hf download {checkpoint} {included}"
