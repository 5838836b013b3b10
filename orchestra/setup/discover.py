"""Finds what could answer: API keys in the environment, GPUs, servers on this machine.

It reads no key's value and sends nothing beyond this machine; `listed_models` asks the one server
it is given, so who calls it must have agreed when that server is elsewhere.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx

from orchestra.clients.endpoint_errors import access_cure, may_not_list
from orchestra.clients.endpoint_refusal import Refusal
from orchestra.core.errors import AccessRefused, ModelUnavailable
from orchestra.core.web.address import is_loopback

PROBE_S = 2.0
LIST_S = 20.0
GPU_S = 30.0
GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # NVIDIA, AMD, Windows' own Linux
LIST_GPUS = """
import torch
for at in range(torch.cuda.device_count()):
    print(torch.cuda.get_device_name(at))
"""
SAYS_VISION = re.compile(
    r"vision|[-_.]?vl\b|vl[-_:\d]|llava|pixtral|minicpm-?v|gemma-?[34]|gpt-4o|gpt-[4-9]\.\d"
    r"|gpt-[5-9]|deepseek-flash",
    re.I,
)
# Reasoning models, whose thoughts need room beside the answer. The trial call finds others out.
SAYS_THINKS = re.compile(
    r"(?:^|[-_/:])(?:r1|o[134])(?:$|[-_.:])|reason|think|qwq|magistral|gpt-oss|gpt-[5-9]"
    r"|deepseek-(?:flash|v4)|kimi-k",
    re.I,
)
NO_CHAT = re.compile(
    r"embed|rerank|whisper|tts|dall-e|moderation|realtime|image-\d|sora|audio", re.I
)


@dataclass(frozen=True, slots=True)
class Provider:
    """A public API: the variable of its key, its address, and a model known to be small there."""

    name: str
    key_env: str
    url: str
    preferred: tuple[str, ...] = ()


# Read on 2026-11-24 at the place named after each. A preferred name that a server no longer lists
# is passed over, so an old one does no harm; `--url` reaches what is not here.
PROVIDERS = (
    # developers.openai.com/api/docs/deprecations: gpt-6-luna is the replacement of gpt-4o-mini,
    # which ends on 2027-01-14 (gpt-5-mini on 2026-12-11).
    Provider(
        "openai", "OPENAI_API_KEY", "https://api.openai.com/v1", ("gpt-6-luna", "gpt-4o-mini")
    ),
    # api-docs.deepseek.com/quick_start/pricing: deepseek-chat is no longer offered.
    Provider("deepseek", "DEEPSEEK_API_KEY", "https://api.deepseek.com", ("deepseek-flash",)),
    # openrouter.ai/openrouter/free/api
    Provider("openrouter", "OPENROUTER_API_KEY", "https://openrouter.ai/api/v1"),
    # alibabacloud.com/help/model-studio/compatibility-of-openai-with-dashscope, for Beijing
    # (Singapore: dashscope-intl); qwen-turbo ended on 2026-07-13 in favour of Qwen3.6.
    Provider(
        "dashscope",
        "DASHSCOPE_API_KEY",
        "https://dashscope.aliyuncs.com/compatible-mode/v1",
        ("qwen3.6-flash", "qwen-flash"),
    ),
    # docs.siliconflow.cn/docs/userguide/quickstart (elsewhere: api.siliconflow.com); the vendor
    # names no variable, integrations use this one.
    Provider("siliconflow", "SILICONFLOW_API_KEY", "https://api.siliconflow.cn/v1"),
    # promptfoo.dev/docs/providers/moonshot, docs.jambonz.org: for keys of platform.moonshot.cn
    # (those of platform.moonshot.ai: https://api.moonshot.ai/v1).
    Provider("moonshot", "MOONSHOT_API_KEY", "https://api.moonshot.cn/v1"),
    # docs.mistral.ai/getting-started/models
    Provider("mistral", "MISTRAL_API_KEY", "https://api.mistral.ai/v1", ("mistral-small-latest",)),
    # console.groq.com/docs/openai
    Provider("groq", "GROQ_API_KEY", "https://api.groq.com/openai/v1"),
    # docs.together.ai/docs/inference/openai-compatibility
    Provider("together", "TOGETHER_API_KEY", "https://api.together.ai/v1"),
)
# Where the servers that people run listen unless they are told otherwise, by their own
# documentation (2026-11-24).
LOCAL_SERVERS = (
    ("vLLM or transformers serve", "http://127.0.0.1:8000/v1"),
    ("SGLang", "http://127.0.0.1:30000/v1"),
    ("Ollama", "http://127.0.0.1:11434/v1"),
    ("llama.cpp", "http://127.0.0.1:8080/v1"),
    ("LM Studio", "http://127.0.0.1:1234/v1"),
)


@dataclass(frozen=True, slots=True)
class Listed:
    """A model that a server lists; `sees`, `thinks`, `context_tokens` are None where it is silent.

    Prices are US dollars for a million tokens.
    """

    name: str
    context_tokens: int | None = None
    sees: bool | None = None
    input_price: str | None = None
    output_price: str | None = None
    thinks: bool | None = None

    @property
    def thinks_first(self) -> bool:
        """Whether it reasons before it answers: what the server says, else what the name says."""
        return bool(SAYS_THINKS.search(self.name)) if self.thinks is None else self.thinks

    @property
    def takes_photos(self) -> bool:
        """What the server says, else what the name says."""
        return bool(SAYS_VISION.search(self.name)) if self.sees is None else self.sees

    @property
    def chats(self) -> bool:
        """Whether the name is not one of an embedding, speech or drawing model."""
        return not NO_CHAT.search(self.name)


@dataclass(frozen=True, slots=True)
class Server:
    """A server that could answer; `models` are empty until it has been asked."""

    name: str
    url: str
    key_env: str | None = None
    preferred: tuple[str, ...] = ()
    models: tuple[Listed, ...] = ()

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine, so that asking it sends nothing away."""
        return is_loopback(self.url)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was found, and the names of what was looked for in vain."""

    servers: tuple[Server, ...]
    gpus: tuple[str, ...]
    missing: tuple[str, ...]


async def look_around(
    environment: Mapping[str, str] = os.environ,
    local_servers: Sequence[tuple[str, str]] = LOCAL_SERVERS,
) -> Surroundings:
    """Look for servers of this machine, keys and GPUs; nothing leaves the machine."""
    probes = asyncio.gather(*(_probe(name, url) for name, url in local_servers))
    gpus, found = await asyncio.gather(asyncio.to_thread(find_gpus), probes)
    keys = [provider for provider in PROVIDERS if environment.get(provider.key_env, "").strip()]
    remote = [Server(p.name, p.url, p.key_env, p.preferred) for p in keys]
    missing = [
        f"{name} at {url}"
        for (name, url), server in zip(local_servers, found, strict=True)
        if server is None
    ]
    missing += [provider.key_env for provider in PROVIDERS if provider not in keys]
    missing += [] if gpus else ["a GPU"]
    servers = [server for server in found if server is not None]
    return Surroundings((*servers, *remote), tuple(gpus), tuple(missing))


async def _probe(name: str, url: str) -> Server | None:
    try:
        models = await listed_models(url, timeout_s=PROBE_S)
    except (ModelUnavailable, AccessRefused):
        return None
    return Server(name, url, models=models) if models else None


async def listed_models(
    url: str, key_env: str | None = None, *, timeout_s: float = LIST_S
) -> tuple[Listed, ...]:
    """The models that the server at `url` lists; () when it lists none.

    Raises `ModelUnavailable` when nothing answers, `AccessRefused` for a missing or refused key.
    """
    key = os.environ.get(key_env, "").strip() if key_env else ""
    if key_env and not key:
        raise AccessRefused(
            f"The environment variable {key_env!r} is not set. export {key_env}=..."
        )
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    base = url.rstrip("/")
    try:
        timeout = httpx.Timeout(timeout_s)
        trust = not is_loopback(url)
        async with httpx.AsyncClient(timeout=timeout, headers=headers, trust_env=trust) as http:
            answer = await http.get(f"{base}/models")
            if answer.status_code in (401, 403):
                refusal = Refusal.of(answer.status_code, answer.content, answer.headers, key)
                if may_not_list(refusal):
                    return ()
                where = key_env or "the environment, and name it with --key-env"
                raise AccessRefused(
                    f"The server {url!r} refuses access ({refusal.status}: {refusal.said!r}). "
                    f"{access_cure(refusal, f'Check the key in {where}.')}"
                )
            listed = _read(answer)
            return tuple([await _asked_ollama(http, base, model) for model in listed])
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ModelUnavailable(
            f"The server {url!r} does not answer ({type(error).__name__}: {error}). Start it, or "
            "mend the address: it ends before '/chat/completions'."
        ) from error


def _read(answer: httpx.Response) -> list[Listed]:
    try:
        entries = answer.json()["data"]
        return [_listed(entry) for entry in entries]
    except (ValueError, KeyError, TypeError):
        return []


def _listed(entry: Mapping[str, Any]) -> Listed:
    """One entry, with what vLLM (`max_model_len`) and OpenRouter say beyond OpenAI's format."""
    price = entry.get("pricing") or {}
    takes = (entry.get("architecture") or {}).get("input_modalities")
    return Listed(
        name=str(entry["id"]),
        context_tokens=entry.get("max_model_len") or entry.get("context_length"),
        sees=None if takes is None else "image" in takes,
        input_price=_per_million(price.get("prompt")),
        output_price=_per_million(price.get("completion")),
    )


def _per_million(price: Any) -> str | None:
    """OpenRouter's dollars for a token as dollars for a million; -1 means that it varies."""
    try:
        value = float(price) * 1_000_000
    except (TypeError, ValueError):
        return None
    return f"{value:.6f}".rstrip("0").rstrip(".") if value >= 0 else None


async def _asked_ollama(http: httpx.AsyncClient, base: str, model: Listed) -> Listed:
    """`model` with what Ollama's own API knows of it; other servers are not asked."""
    if not base.endswith(":11434/v1"):
        return model
    answer = await http.post(f"{base.removesuffix('/v1')}/api/show", json={"model": model.name})
    try:
        can = answer.json()["capabilities"]
        sees, thinks = "vision" in can, "thinking" in can
    except (ValueError, KeyError, TypeError):
        return model
    return replace(model, sees=sees, thinks=thinks)


def find_gpus() -> list[str]:
    """Names of the GPUs that torch can use, or that `nvidia-smi` lists where torch is missing."""
    if sys.platform == "linux" and not any(os.path.exists(path) for path in GPU_DEVICES):
        return []  # without a driver nothing is found, and importing torch takes seconds
    if importlib.util.find_spec("torch") is not None:
        # In a process of its own: torch takes seconds to import, and memory for good.
        return _lines([sys.executable, "-c", LIST_GPUS])
    if shutil.which("nvidia-smi"):
        return _lines(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"])
    return []


def _lines(command: list[str]) -> list[str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GPU_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]
