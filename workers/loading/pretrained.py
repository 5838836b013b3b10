"""Reads a checked folder's weights into a model of transformers; knows no tokens and no job."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import PreTrainedModel
from transformers.utils import logging

from orchestra.core.errors import CheckpointInvalid
from workers.loading.checkpoint import RESTORE
from workers.loading.device import Placement
from workers.loading.parts import Parts, open_tensors

# transformers patches torch while it loads a model: two at once leave tensors out.
LOADING = threading.RLock()


def load_weights(model_class: Any, folder: Path, place: Placement) -> PreTrainedModel:
    """The model at `place`, ready to run; threads take turns.

    Raises CheckpointInvalid for damaged weights.
    """
    logging.disable_progress_bar()
    try:
        with LOADING:
            source, more = _source(model_class, folder)
            model, report = model_class.from_pretrained(
                source,
                **more,
                dtype=place.dtype,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise CheckpointInvalid(
            f"The weights in {str(folder)!r} cannot be read: {error}. {RESTORE}"
        ) from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise CheckpointInvalid(
            f"{len(missing)} tensors are missing from the weights in {str(folder)!r}, "
            f"{missing[0]!r} first. {RESTORE}"
        )
    return place.put(model.eval().requires_grad_(False))


def _source(model_class: Any, folder: Path) -> tuple[Path | None, dict[str, Any]]:
    """The folder; or its configuration and tensors, where some of them lie beside it."""
    if not Parts.read(folder).weights:
        return folder, {}
    tensors = open_tensors(folder, "pt")
    return None, {
        "config": model_class.config_class.from_pretrained(folder, local_files_only=True),
        "state_dict": {name: file.get_tensor(own) for name, (file, own) in tensors.items()},
    }
