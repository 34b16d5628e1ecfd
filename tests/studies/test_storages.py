"""Where mirrors are kept: what is said of it, and what never is."""

import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from activations.errors import GateswapError, InputError
from studies import tuning
from studies.plan import Plan, group_attempts
from studies.reaching import PATIENCE, bounded, reach
from studies.reflecting import mirror_study
from studies.storages import PRODUCTS, Product, Storage, sqlite_url, storage_of
from studies.terminal.doctor import _storage
from studies.workspace import StudyFolder, Workspace

SECRETS = ("geheim", "p@ss/w:rd", "100%")
URLS = (
    "postgresql://me:geheim@127.0.0.1:1/db",
    "postgresql://me:p%40ss%2Fw%3Ard@127.0.0.1:1/db",
    "postgresql://127.0.0.1:1/db?user=me&password=100%25",
    "postgresql://me:p@ss/w:rd@127.0.0.1:1/db",
)


@pytest.fixture(autouse=True)
def _no_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    for product in PRODUCTS:
        monkeypatch.delenv(f"GATESWAP_{product.upper()}_URL", raising=False)


def test_the_option_counts_before_the_environment_before_the_file_before_the_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Workspace(tmp_path)
    assert storage_of(place, "MLflow") == Storage(
        "MLflow", sqlite_url(tmp_path / "mlflow.db"), file=tmp_path / "mlflow.db"
    )
    place.settings.write_text("mlflow: https://file.example\n# optuna stays here\n")
    assert storage_of(place, "MLflow").url == "https://file.example"
    assert storage_of(place, "MLflow").given_by == str(place.settings)
    assert storage_of(place, "Optuna").file == place.optuna_database
    monkeypatch.setenv("GATESWAP_MLFLOW_URL", "https://environment.example")
    assert storage_of(place, "MLflow").url == "https://environment.example"
    given = Workspace(tmp_path, mlflow_url="https://option.example")
    assert storage_of(given, "MLflow").url == "https://option.example"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mlfow: https://x", "has no field 'mlfow', only optuna and mlflow"),
        ("mlflow: [https://me:geheim@x]", "holds something else than URLs"),
        (
            "optuna: https://me:geheim@x",
            "'https://me:\\*\\*\\*@x' is no address of Optuna's storage",
        ),
        ("mlflow: 'postgresql://me:geheim@x", "is no YAML"),
        ("mlflow: sqlite://", "names no file; write sqlite:///folder/file.db"),
    ],
)
def test_a_workspace_s_file_is_refused_in_one_line_without_its_passwords(
    text: str, said: str, tmp_path: Path
) -> None:
    place = Workspace(tmp_path)
    place.settings.write_text(text)
    with pytest.raises(InputError, match=said) as raised:
        [storage_of(place, product) for product in PRODUCTS]
    assert "geheim" not in str(raised.value)


def test_one_database_for_both_is_refused(tmp_path: Path) -> None:
    url = "postgresql://me:geheim@h/db"
    with pytest.raises(InputError, match="give each a database of its own") as raised:
        storage_of(Workspace(tmp_path, mlflow_url=url, optuna_url=url), "MLflow")
    assert "geheim" not in str(raised.value)


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("product", PRODUCTS)
def test_passwords_are_in_nothing_that_is_said_of_a_database_that_refuses(
    url: str, product: Product, finished: StudyFolder, plan: Plan
) -> None:
    pytest.importorskip("psycopg2", reason="needs gateswap[postgresql]")
    place = Workspace(finished.root.parent.parent, **{f"{product.lower()}_url": url})
    storage = storage_of(place, product)
    said = [storage.shown, repr(storage), repr(place)]
    with pytest.raises(GateswapError) as raised:
        _storage(place, product)
    said.append(str(raised.value))
    if product == "Optuna":
        with pytest.raises(GateswapError, match="gateswap mirror demo") as raised:
            tuning.tell(plan.spec, group_attempts(plan.members), {}, place)
        said.append(str(raised.value))
    assert not [(secret, text) for secret in SECRETS for text in said if secret in text]
    assert "127.0.0.1" in said[0]


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never says a word, as a machine in trouble does."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


@pytest.mark.parametrize("scheme", ["http://127.0.0.1:{}", "postgresql://me:geheim@127.0.0.1:{}/x"])
def test_a_service_that_never_answers_is_told_within_seconds(scheme: str, silent: int) -> None:
    if scheme.startswith("postgresql"):
        pytest.importorskip("psycopg2", reason="needs gateswap[postgresql]")
    begun = time.monotonic()
    with pytest.raises(Exception, match=r"(?i)time|no answer"):
        reach(Storage("MLflow", scheme.format(silent)))
    assert time.monotonic() - begun < 2 * PATIENCE  # on a busy machine, too; MLflow takes minutes


def test_a_database_s_own_timeouts_stay(tmp_path: Path) -> None:
    url = bounded(Storage("Optuna", "postgresql://me:p%40ss@h/x?connect_timeout=60"))
    assert "connect_timeout=60" in url
    assert "p%40ss" in url
    assert "tcp_user_timeout" in url


def test_a_database_that_is_a_link_to_itself_has_an_address(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    file.symlink_to(file)
    assert sqlite_url(file) == f"sqlite:///{file}"


ODD = "a%20b %25 ?c~d #e ä"


def test_a_workspace_may_be_called_anything(finished: StudyFolder, tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    from studies.serving import server_command

    root = tmp_path / ODD
    finished.root.parent.parent.rename(root)
    place = Workspace(root)
    assert mirror_study("demo", place) == (8, 4)
    made = {"mlflow.db", "mlartifacts", "optuna.db", "studies"}
    assert {path.name for path in root.iterdir()} == made
    assert {path.name for path in tmp_path.iterdir()} == {ODD}
    command, environment = server_command(place, 0)
    client = MlflowClient(environment["MLFLOW_BACKEND_STORE_URI"])
    experiment = client.get_experiment_by_name("demo")
    run = client.search_runs([experiment.experiment_id], "params.seed = '1'")[0]
    table = Path(client.download_artifacts(run.info.run_id, "confusion.csv"))
    assert table.read_text().startswith("true")
    assert not [word for word in command if "mlflow.db" in word]  # the environment has it
    with sqlite3.connect(place.optuna_database) as connection:
        assert connection.execute("select count(*) from trials").fetchone() == (4,)
