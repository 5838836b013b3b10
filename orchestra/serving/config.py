"""The deploy file of an application, as `serve deploy` and KubeRay read it.

`serve build` refuses applications that a function makes, so this writes the file itself: one
application, its arguments, and each deployment's replicas and reservations to be edited.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from orchestra.core.errors import InvalidGraph
from orchestra.fleet.source import load_graph
from orchestra.serving.admission.front import CALLBACK, PLACE
from orchestra.serving.app import graph_name
from orchestra.serving.args import checked_fleet, read_args
from orchestra.serving.canary.second import with_second

# Ray asks a node every 3 s, waits 10 s, and gives it up after 5 silences: calls to a replica on a
# node that was killed wait 15 s, on one that lost its power 65 s. These make it 5 and 20 s. A
# raylet does not run models, so a busy node answers in time.
NODE_LOSS = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "5",
}
HEAD = """\
# Written by `orchestra serve --write-config`. Deploy it on a cluster: serve deploy {name}
# Every node needs the package: pip install 'orchestra-fleet[ray,mini]' (see docs/serving.md),
# a graph file of your own in a folder on its PYTHONPATH, and a fleet file at the same path.
# The proxy listens on loopback: give http_options.host another address only behind something
# that asks for a key. Ray's own ports ask for a token where RAY_AUTH_MODE=token is set.
# The head notices a dead node in seconds if `ray start --head` was given: {node_loss}
# Headers that come slowly, or without an end, are refused if it was given: {front}
"""


def deploy_config(graph: str, args: Mapping[str, str], port: int) -> dict[str, Any]:
    """The file as a mapping, for the application of `graph` with its arguments.

    Raises `InvalidGraph` for a graph whose module has no `app`, `InvalidFleet`, and
    `InvalidPolicy` for a policy of other models.
    """
    # The deployments need ray, an optional extra, and only who writes this file needs them here.
    from orchestra.serving.deployment import ingress_options, model_options

    checked = read_args(args)
    models = with_second(checked, checked_fleet(checked)).models
    deployments = [model_options(card) for card in models if card.hosting.worker is not None]
    return {
        "proxy_location": "HeadOnly",
        "http_options": {"host": "127.0.0.1", "port": port},
        "logging_config": {"encoding": "JSON", "enable_access_log": False},
        "applications": [
            {
                "name": "orchestra",
                "route_prefix": "/",
                "import_path": import_path(graph),
                "args": {name: value for name, value in args.items() if value},
                "deployments": [*deployments, ingress_options(checked)],
            }
        ],
    }


def import_path(graph: str) -> str:
    """`module:app` of the application that serves `graph`. Raises `InvalidGraph` without one.

    The module of a file is named as where its folder is on the nodes' PYTHONPATH.
    """
    build = load_graph(graph)
    module = sys.modules[build.__module__]
    if getattr(getattr(module, "app", None), "build", None) is not build:
        raise InvalidGraph(
            f"The module {build.__module__!r} of the graph {graph_name(build)!r} has no app. "
            f"Add to it: app = serve({build.__name__})."
        )
    name = build.__module__
    return f"{Path(name).stem if name.endswith('.py') else name}:app"


def as_yaml(config: dict[str, Any], name: str) -> str:
    """The file's text, with what to do with it."""
    node_loss = " ".join(f"{key}={value}" for key, value in NODE_LOSS.items())
    return HEAD.format(
        name=name, node_loss=node_loss, front=f"{CALLBACK}={PLACE}"
    ) + yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
