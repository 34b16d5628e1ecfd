"""Reaching Ray: whether it is installed and may be used, connecting to a cluster or starting one.

- Importing it takes seconds: only what trains on it does.
"""

import contextlib
import importlib.util
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from importlib import metadata
from typing import Any

from activations.errors import GateswapError, InputError

OLDEST = (2, 60)  # from it on, a Ray of one machine asks for the user's token
NEEDED = "pip install 'gateswap[ray]'"
SECONDS_TO_CONNECT = 10.0


def check_ray(address: str) -> None:
    """Raise InputError where Ray is not installed or too old, or for an unusable address."""
    if importlib.util.find_spec("ray") is None:  # importing it takes seconds
        raise InputError(f"--engine ray needs another package: {NEEDED}")
    version = metadata.version("ray")
    if tuple(map(int, version.split(".")[:2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise InputError(f"--engine ray needs Ray {oldest} or newer, not {version}: {NEEDED} -U")
    if (given := _given(address)).startswith("ray://"):
        raise InputError(
            f"{given} (--address or RAY_ADDRESS): results would travel through Ray's client; run "
            "the command on a node of the cluster, with --address auto"
        )


def _given(address: str) -> str:
    return address or os.environ.get("RAY_ADDRESS", "")


def quiet() -> None:
    """Let Ray tell nobody that it is used, unless the user wants it to; before it is imported."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


def the_package() -> Any:
    """The package, imported when it is needed."""
    quiet()
    import ray

    return ray


def start(address: str) -> None:
    """Connect to a cluster, or start a Ray of this process's own."""
    ray, given = the_package(), _given(address)
    logging.getLogger("ray").setLevel(logging.ERROR)  # what matters is told by this module
    options = {"log_to_driver": False, "configure_logging": False}
    try:
        if given:
            _knock(given)
            ray.init(address=given, **options)
        else:
            # a Ray runs what code it is sent: one like this asks for the user's token
            ray.init(address="local", include_dashboard=False, **options)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if given:
            raise GateswapError(
                f"no Ray cluster answers at {given} ({reason}). Start one there with ray start "
                "--head; without --address this machine's own cores are used"
            ) from None
        raise GateswapError(
            f"Ray does not start on this machine ({reason}); ray start --head says more, and "
            "without --engine ray no Ray is needed"
        ) from None


def _knock(address: str) -> None:
    """Raise OSError where nobody listens at host:port, for which Ray would wait for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit():
        with socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS_TO_CONNECT):
            pass


@contextlib.contextmanager
def handlers_kept() -> Iterator[None]:
    """What SIGTERM and Ctrl-C do stays what it was: Ray takes SIGTERM."""
    main = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items() if main else ():
            signal.signal(number, handler)
