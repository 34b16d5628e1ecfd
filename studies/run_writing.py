"""Runs of MLflow written and read: through its interface, or by hundreds in its database's tables.

- Each call of MLflow's interface is a transaction with a dozen queries, and a member takes five:
  135 ms of processor time on SQLite. The same rows inserted at once take 5.
- What is inserted is what the interface of MLflow 3.17 would write. Where a version has columns
  that we do not know and that may not be empty, the interface is used.
- A batch of rows is one transaction: a run is there with all that it has, or not at all.
"""

import math
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from studies.run_records import LONGEST_VALUE, SCORES, Point, RunRecord

if TYPE_CHECKING:  # MLflow takes seconds to import
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient
    from sqlalchemy import Connection

METRICS_PER_BATCH = 1000  # MLflow's limit on one call of log_batch
LONGEST_TAG = 8000  # characters, as MLflow cuts them
LARGEST = sys.float_info.max  # what MLflow writes for infinity, which SQL has not
# columns that are written here; the keys are names of mlflow.store.tracking.dbmodels.models
_COLUMNS = {
    "SqlRun": "run_uuid name source_type source_name entry_point_name user_id status start_time "
    "end_time source_version lifecycle_stage artifact_uri experiment_id",
    "SqlTag": "key value run_uuid",
    "SqlParam": "key value run_uuid",
    "SqlMetric": "key value timestamp step is_nan run_uuid",
    "SqlLatestMetric": "key value timestamp step is_nan run_uuid",
    "SqlDataset": "dataset_uuid experiment_id name digest dataset_source_type dataset_source "
    "dataset_schema dataset_profile",
    "SqlInput": "input_uuid source_type source_id destination_type destination_id",
    "SqlInputTag": "input_uuid name value",
}


@dataclass(frozen=True, kw_only=True)
class KnownRun:
    """A run that is there. ended [ms]; tags: ours; scores: of `SCORES`, those it has."""

    id: str
    finished: bool
    ended: int
    tags: Mapping[str, str]
    scores: Mapping[str, float]
    has_params: bool


class Writer(Protocol):
    """Writes and reads the runs of one experiment."""

    def known(self) -> list[KnownRun]:
        """The runs that are there and not deleted."""
        ...

    def create(self, records: Sequence[RunRecord]) -> list[str]:
        """Write whole runs, finished; their ids."""
        ...

    def extend(
        self, run: str, points: Iterable[Point], tags: Mapping[str, str], ended: int
    ) -> None:
        """Add numbers and tags to a run that is there, and say when it ended."""
        ...


def writer(client: "MlflowClient", experiment: str) -> Writer:
    """What writes fastest where the client is connected to."""
    store = getattr(client._tracking_client, "store", None)
    local = str(client.get_experiment(experiment).artifact_location).startswith("file:")
    known = local and _is_known(store)
    return Tables(store, experiment) if known else Interface(client, experiment)


class Interface:
    """MLflow's own interface, which every server and version has."""

    def __init__(self, client: "MlflowClient", experiment: str) -> None:
        self._client, self._experiment = client, experiment

    def known(self) -> list[KnownRun]:
        """The runs that are there and not deleted, by a thousand."""
        return [
            KnownRun(
                id=run.info.run_id,
                finished=run.info.status == "FINISHED",
                ended=run.info.end_time or 0,
                tags=run.data.tags,
                scores={k: v for k, v in run.data.metrics.items() if k in SCORES},
                has_params=bool(run.data.params),
            )
            for run in self._all()
        ]

    def _all(self) -> "Iterator[Run]":
        token = None
        while True:
            page = self._client.search_runs([self._experiment], max_results=1000, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def create(self, records: Sequence[RunRecord]) -> list[str]:
        """Write whole runs one after another; their ids."""
        return [self._create(record) for record in records]

    def extend(
        self, run: str, points: Iterable[Point], tags: Mapping[str, str], ended: int
    ) -> None:
        """Add numbers and tags to a run that is there, and say when it ended."""
        self._log(run, points, tags=tags)
        self._client.set_terminated(run, "FINISHED", ended)

    def _create(self, record: RunRecord) -> str:
        run = self._client.create_run(
            self._experiment,
            run_name=record.name,
            tags=dict(record.tags),
            start_time=record.started,
        ).info.run_id
        self._log(run, record.points, params=record.params)
        self._client.log_inputs(run, [record.dataset])
        for name, text in record.files.items():
            self._client.log_text(run, text, name)
        self._client.set_terminated(run, "FINISHED", record.ended)
        return str(run)

    def _log(
        self,
        run: str,
        points: Iterable[Point],
        *,
        tags: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        numbers = [Metric(*point) for point in points]
        for start in range(0, max(1, len(numbers)), METRICS_PER_BATCH):
            last = start + METRICS_PER_BATCH >= len(numbers)
            self._client.log_batch(
                run,
                metrics=numbers[start : start + METRICS_PER_BATCH],
                params=() if start else [Param(*each) for each in (params or {}).items()],
                tags=[RunTag(*each) for each in (tags or {}).items()] if last else (),
            )


class Tables:
    """The tables of MLflow's database. store: an SqlAlchemyStore whose tables are known."""

    def __init__(self, store: Any, experiment: str) -> None:
        self._store, self._experiment = store, int(experiment)
        self._artifacts = store.get_experiment(experiment).artifact_location

    def known(self) -> list[KnownRun]:
        """The runs that are there and not deleted, by four queries."""
        runs, tags = _table("SqlRun"), _table("SqlTag")
        latest, params = _table("SqlLatestMetric"), _table("SqlParam")
        ours = (runs.c.experiment_id == self._experiment, runs.c.lifecycle_stage == "active")
        own: dict[str, dict[str, str]] = {}
        scores: dict[str, dict[str, float]] = {}
        with self._store.engine.connect() as connection:

            def of_runs(table: Any, *columns: Any) -> Any:
                joined = table.join(runs, runs.c.run_uuid == table.c.run_uuid)
                return _select(table.c.run_uuid, *columns).select_from(joined).where(*ours)

            found = tags.c.key.like("gateswap.%")
            for run, key, text in connection.execute(
                of_runs(tags, tags.c.key, tags.c.value).where(found)
            ):
                own.setdefault(run, {})[key] = text
            scored = latest.c.key.in_(SCORES)
            for run, key, value in connection.execute(
                of_runs(latest, latest.c.key, latest.c.value).where(scored)
            ):
                scores.setdefault(run, {})[key] = value
            with_params = {run for (run,) in connection.execute(of_runs(params).distinct())}
            rows = connection.execute(
                _select(runs.c.run_uuid, runs.c.status, runs.c.end_time).where(*ours)
            )
            return [
                KnownRun(
                    id=run,
                    finished=status == "FINISHED",
                    ended=ended or 0,
                    tags=own.get(run, {}),
                    scores=scores.get(run, {}),
                    has_params=run in with_params,
                )
                for run, status, ended in rows
            ]

    def create(self, records: Sequence[RunRecord]) -> list[str]:
        """Write whole runs in one transaction, their files first; their ids."""
        ids = [uuid.uuid4().hex for _ in records]
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in _COLUMNS}
        for run, record in zip(ids, records, strict=True):
            place = f"{self._artifacts.rstrip('/')}/{run}/artifacts"
            for name, text in record.files.items():
                _write_file(place, name, text)
            rows["SqlRun"].append(self._run(run, record, place))
            rows["SqlTag"] += _named(
                run, {**record.tags, "mlflow.runName": record.name}, LONGEST_TAG
            )
            rows["SqlParam"] += _named(run, record.params, LONGEST_VALUE)
            rows["SqlMetric"] += (numbers := _numbers(run, record.points))
            rows["SqlLatestMetric"] += _latest(numbers)
        with self._store.engine.begin() as connection:
            self._add_datasets(connection, rows, dict(zip(ids, records, strict=True)))
            _insert(connection, rows)
        return ids

    def extend(
        self, run: str, points: Iterable[Point], tags: Mapping[str, str], ended: int
    ) -> None:
        """Add numbers and tags to a run that is there, and say when it ended.

        The numbers are later than those of the same name that are there.
        """
        numbers = _numbers(run, points)
        latest = _latest(numbers)
        replaced = {"SqlTag": list(tags), "SqlLatestMetric": [row["key"] for row in latest]}
        runs = _table("SqlRun")
        with self._store.engine.begin() as connection:
            for name, found in replaced.items():
                table = _table(name)
                same_run, same_name = table.c.run_uuid == run, table.c.key.in_(found)
                connection.execute(table.delete().where(same_run, same_name))
            rows = {
                "SqlTag": _named(run, tags, LONGEST_TAG),
                "SqlMetric": numbers,
                "SqlLatestMetric": latest,
            }
            _insert(connection, rows)
            changed = runs.update().where(runs.c.run_uuid == run)
            connection.execute(changed.values(status="FINISHED", end_time=ended))

    def _run(self, run: str, record: RunRecord, place: str) -> dict[str, Any]:
        return {
            "run_uuid": run,
            "name": record.name,
            "source_type": "UNKNOWN",  # as the interface has it: MLflow reads the tags
            "source_name": "",
            "entry_point_name": "",
            "user_id": record.user,
            "status": "FINISHED",
            "start_time": record.started,
            "end_time": record.ended,
            "source_version": "",
            "lifecycle_stage": "active",
            "artifact_uri": place,
            "experiment_id": self._experiment,
        }

    def _add_datasets(
        self,
        connection: "Connection",
        rows: dict[str, list[dict[str, Any]]],
        records: Mapping[str, RunRecord],
    ) -> None:
        """The rows of data sets, new ones only, and of the runs that use them."""
        table = _table("SqlDataset")
        query = table.select().where(table.c.experiment_id == self._experiment)
        known = {(row.name, row.digest): row.dataset_uuid for row in connection.execute(query)}
        for run, record in records.items():
            found = record.dataset.dataset
            key = (found.name, found.digest)
            if key not in known:
                known[key] = uuid.uuid4().hex
                rows["SqlDataset"].append(
                    {
                        "dataset_uuid": known[key],
                        "experiment_id": self._experiment,
                        "name": found.name,
                        "digest": found.digest,
                        "dataset_source_type": found.source_type,
                        "dataset_source": found.source,
                        "dataset_schema": found.schema,
                        "dataset_profile": found.profile,
                    }
                )
            used = uuid.uuid4().hex
            rows["SqlInput"].append(
                {
                    "input_uuid": used,
                    "source_type": "DATASET",
                    "source_id": known[key],
                    "destination_type": "RUN",
                    "destination_id": run,
                }
            )
            rows["SqlInputTag"] += [
                {"input_uuid": used, "name": tag.key, "value": tag.value}
                for tag in record.dataset.tags
            ]


def _is_known(store: object) -> bool:
    """Whether the tables of a store are those that `Tables` fills."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    if type(store) is not SqlAlchemyStore:
        return False
    try:
        for name, columns in _COLUMNS.items():
            ours, there = set(columns.split()), _table(name).c
            if not ours <= set(there.keys()):
                return False
            for column in there:
                filled = column.nullable or column.default or column.server_default
                if column.name not in ours and not filled:
                    return False
    except (ImportError, AttributeError):
        return False
    return True


def _table(name: str) -> Any:
    from mlflow.store.tracking.dbmodels import models

    return getattr(models, name).__table__


def _insert(connection: "Connection", rows: Mapping[str, list[dict[str, Any]]]) -> None:
    for name, of_table in rows.items():
        if of_table:
            connection.execute(_table(name).insert(), of_table)


def _select(*columns: Any) -> Any:
    import sqlalchemy

    return sqlalchemy.select(*columns)


def _named(run: str, values: Mapping[str, str], longest: int) -> list[dict[str, Any]]:
    return [{"key": k, "value": v[:longest], "run_uuid": run} for k, v in values.items()]


def _numbers(run: str, points: Iterable[Point]) -> list[dict[str, Any]]:
    """Rows of numbers, each once; SQL has neither NaN nor infinity."""
    rows = {}
    for key, value, at, step in points:
        nan = math.isnan(value)
        stored = 0.0 if nan else max(-LARGEST, min(LARGEST, value))
        rows[key, at, step, stored, nan] = {
            "key": key,
            "value": stored,
            "timestamp": at,
            "step": step,
            "is_nan": nan,
            "run_uuid": run,
        }
    return list(rows.values())


def _latest(numbers: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each name the last number: MLflow's order is step, time, value."""
    last: dict[str, dict[str, Any]] = {}
    for row in sorted(numbers, key=lambda row: (row["step"], row["timestamp"], row["value"])):
        last[row["key"]] = row
    return list(last.values())


def _write_file(place: str, name: str, text: str) -> None:
    """Write a file of a run. place: a file's URI, as this package gives experiments."""
    folder = Path(unquote(urlsplit(place).path))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
