"""The Ray Serve shim: which deployments an application has, and what each reserves.

What a model does is decided in `replica.py`, what a request gets in `service.py`; here they are
bound to Ray, one deployment a model and one for the ingress.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle
from ray.serve.metrics import Counter

from orchestra.app import Fleet
from orchestra.book.filing.filing import Filing, folder_of
from orchestra.clients.handle import HEAD_NODE, HandleClient
from orchestra.cluster.listen import listen_on_node
from orchestra.core.call import Client, Reply
from orchestra.core.card import Card, FleetFile
from orchestra.core.errors import OrchestraError
from orchestra.core.garbage import collect_seldom
from orchestra.fleet.opened import Build
from orchestra.fleet.source import load_graph
from orchestra.images.limits import ImageLimits
from orchestra.observe.lines import send_lines
from orchestra.serving.admission.limit import MOST
from orchestra.serving.args import AppArgs
from orchestra.serving.canary.second import (
    SUFFIX,
    own_cards,
    second_args,
    second_graphs,
    trial_name,
)
from orchestra.serving.canary.sharing import Sharing
from orchestra.serving.canary.telling import CanaryTelling
from orchestra.serving.canary.trial import CanaryTrial
from orchestra.serving.courier import webhook_of
from orchestra.serving.guards.keys import Access
from orchestra.serving.http import HttpSettings, make_app
from orchestra.serving.ledger import ActorReach, member_of, reach_of
from orchestra.serving.replica import ModelReplica
from orchestra.serving.service import Service

INGRESS = "ingress"
ANSWERING = ("RUNNING", "PENDING_MIGRATION")  # of a replica's states, those that take calls
# An ingress waits for models most of the time, so it reserves no CPU of its own. It stands on the
# head node, beside the proxy and the ledger: no other node's death takes a request with it.
PLACE = {"num_cpus": 0, "resources": {HEAD_NODE: 0.001}}
GIB = 2**30
HEALTH_S = 5.0
GRACE_S = 20.0  # a replica that is taken down finishes its calls first
PASSING = 256  # requests at an ingress beside those that are served and that wait
CALLS = 64 * MOST  # of a model that wait at an ingress: of each job that it serves, 64 photos
STARTS = 3  # a checkpoint that cannot be loaded fails each time: three are enough to say so


class Ingress:
    """A fleet whose local models are reached through handles, its graphs, and the HTTP face."""

    def __init__(
        self,
        args: AppArgs,
        graphs: Mapping[str, Build | str],
        models: Mapping[str, DeploymentHandle],
        second_models: Mapping[str, DeploymentHandle],
    ) -> None:
        listen_on_node()
        _log_with_serve()
        self._args = args
        clients: dict[str, Client] = {
            name: HandleClient(name, handle) for name, handle in models.items()
        }
        # Strangers' jobs may not name files of this machine, nor learn what its network holds.
        limits = ImageLimits(allow_files=False, is_discreet=True)
        builds = {
            name: load_graph(graph) if isinstance(graph, str) else graph
            for name, graph in graphs.items()
        }
        app = serve.get_replica_context().app_name
        reach = reach_of(args, app) if args.has_shared_ledger else None
        self._ledger = None if reach is None else member_of(reach)
        fleet = Fleet.open(
            args.fleet,
            clients=clients,
            image_limits=limits,
            ledger=self._ledger,
            cache=args.cache or None,
            policy=Path(args.policy) if args.policy else None,
        )

        async def lost() -> dict[str, str]:
            return await asyncio.to_thread(models_lost, serve.status, app, list(models))

        self._service = Service(fleet, builds, lost, self._ledger, args.book_file)
        self._settings = HttpSettings(
            host_names=args.host_names.split(","),
            queue=args.queue,
            max_ongoing=args.max_ongoing,
            access=Access(args.keys, args.day_micro),
            canary=_canary(args, graphs, {**models, **second_models}, fleet, reach),
            filing=Filing.open(folder_of(args.book)) if args.book else None,
            webhook=webhook_of(args.webhook),
        )

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Called by Serve after the constructor."""
        app = make_app(self._service, self._settings)
        collect_seldom()
        return app

    async def __del__(self) -> None:
        """Called by Serve once the requests of a replica that is taken down have ended."""
        if self._ledger is not None:
            await self._ledger.leave()


def _canary(
    args: AppArgs,
    graphs: Mapping[str, Build | str],
    models: Mapping[str, DeploymentHandle],
    stable: Fleet,
    reach: ActorReach | None,
) -> Sharing | None:
    """The second version, which counts what it spends in the ledger of the stable one.

    What becomes of it is decided where `reach` leads, of what all ingresses saw.
    """
    second = second_args(args)
    if second is None:
        return None
    clients: dict[str, Client] = {
        name: HandleClient(name, handle) for name, handle in models.items()
    }
    fleet = Fleet.open(
        second.fleet,
        clients=clients,
        image_limits=stable.image_limits,
        ledger=stable.ledger,
        cache=second.cache or None,
        policy=Path(second.policy) if second.policy else None,
    )
    builds = {
        name: load_graph(graph) if isinstance(graph, str) else graph
        for name, graph in second_graphs(second, graphs).items()
    }
    trial = CanaryTrial(args.canary_percent, name="" if reach is None else trial_name(args, builds))
    telling = None if reach is None else CanaryTelling(trial, reach.judge)
    return Sharing(Service(fleet, builds), trial, telling)


def models_lost(status: Callable[[], Any], app: str, models: Sequence[str]) -> dict[str, str]:
    """Those of `models` without a running replica, and what Serve says of each.

    A handle does not tell: it remembers that the model was loaded once.
    """
    application = status().applications.get(app)
    if application is None:
        return dict.fromkeys(models, "Serve does not know the application any more")
    lost: dict[str, str] = {}
    for model in models:
        deployment = application.deployments.get(model)
        if deployment is None:
            lost[model] = "Serve has no such deployment"
        elif not any(deployment.replica_states.get(state, 0) for state in ANSWERING):
            why = deployment.message.strip().splitlines()
            lost[model] = f"no replica runs ({deployment.status.value}). {why[-1] if why else ''}"
    return lost


class HostedModel(ModelReplica):
    """A replica in a process of its own, whose rows are counted among Ray's metrics."""

    def __init__(self, fleet: str, model: str) -> None:
        listen_on_node()
        _log_with_serve()
        super().__init__(fleet, model, seen=_row_counter(model))
        collect_seldom()


def _row_counter(model: str) -> Callable[[Reply | OrchestraError], None]:
    """Counts what the engine made of each row: one that a hang-up stopped is `Cancelled`."""
    keys: Any = ("model", "outcome")  # ray's hint names a tuple of one
    about = "Rows that a replica's engine ended, by model and outcome."
    rows = Counter("orchestra_engine_rows", about, tag_keys=keys)

    def seen(answer: Reply | OrchestraError) -> None:
        outcome = answer.kind if isinstance(answer, OrchestraError) else "answered"
        rows.inc(tags={"model": model, "outcome": outcome})

    return seen


def bind(file: FleetFile, args: AppArgs, graphs: Mapping[str, Build | str]) -> Any:
    """The application: the ingress over one deployment for each model that runs on the cluster.

    A model behind an endpoint needs none: the ingress reaches it by itself.
    """
    hosted = [card for card in file.models if card.hosting.worker is not None]
    models = {card.name: _hosted(args.fleet, card.name, card) for card in hosted}
    second = second_args(args) or args
    second_models = {
        (model := card.name.removesuffix(SUFFIX)): _hosted(second.fleet, model, card)
        for card in own_cards(args, file)
    }
    ingress = _deployed(serve.ingress()(Ingress), **ingress_options(args))
    return ingress.bind(args, dict(graphs), models, second_models)


def _hosted(fleet: str, model: str, card: Card) -> Any:
    """The deployment of a model of a fleet, under the name that `card` has."""
    options = model_options(card)
    return _deployed(HostedModel, **options, max_constructor_retry_count=STARTS).bind(fleet, model)


def _log_with_serve() -> None:
    """Send our log lines to the replica's log file, where Serve's own lines go.

    And to `orchestra serve`, where that began this process.
    """
    log = logging.getLogger("orchestra")
    log.setLevel(logging.INFO)
    for handler in logging.getLogger("ray.serve").handlers:
        log.addHandler(handler)
    send_lines()


def _deployed(plain: type, **options: Any) -> Any:
    return serve.deployment(**options)(plain)


def ingress_options(args: AppArgs) -> dict[str, Any]:
    """How Serve hosts the ingress."""
    return {
        "name": INGRESS,
        "num_replicas": args.ingresses,
        # Serve's own queue, which nobody is told of, begins where ours is full: those that are
        # served, those that wait, and those that pass or are refused at once.
        "max_ongoing_requests": (args.max_ongoing or MOST) + args.queue + PASSING,
        "max_queued_requests": PASSING,
        "ray_actor_options": PLACE,
        "health_check_period_s": HEALTH_S,
        "graceful_shutdown_timeout_s": GRACE_S,
    }


def model_options(card: Card) -> dict[str, Any]:
    """How Serve hosts `card`: replicas or a range of them, and what each reserves of a node."""
    scaling = card.hosting.scaling
    options: dict[str, Any] = {
        "name": card.name,
        "max_ongoing_requests": scaling.max_ongoing,
        "max_queued_requests": CALLS,
        "ray_actor_options": {
            "num_cpus": scaling.cpus,
            "num_gpus": scaling.gpus,
            "memory": round(card.hosting.memory_gib * GIB),
            "resources": dict(scaling.resources),
        },
        "health_check_period_s": HEALTH_S,
        "graceful_shutdown_timeout_s": GRACE_S,
    }
    if scaling.max_replicas is None:
        options["num_replicas"] = scaling.replicas
    else:
        options["autoscaling_config"] = {
            "min_replicas": scaling.replicas,
            "max_replicas": scaling.max_replicas,
            # Calls that wait in an ingress count as well as those a replica has begun.
            "target_ongoing_requests": scaling.target_ongoing or max(1, scaling.max_ongoing // 2),
            "upscale_delay_s": scaling.upscale_delay_s,
            "downscale_delay_s": scaling.downscale_delay_s,
        }
    return options
