"""MLflow's own page in a real browser: what a person sees who follows the printed address.

With GATESWAP_SCREENSHOTS=docs/figures the pictures of the documentation are taken anew.
"""

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.made_up_workspace import NAME, write_workspace
from studies.loading import load
from studies.plan import Plan, make_plan
from studies.result_files import ResultFolder
from studies.run_records import member_scores
from studies.serving import addresses, server_command
from studies.tracking import Mirror
from studies.workspace import Workspace
from tests.server import first_answer, free_port
from tests.studies.conftest import DATA, fake_result

pytestmark = pytest.mark.services

STEPS = np.arange(100.0, 3001.0, 100.0)
CHANGES = ["variants.activation=[tanh,arelu,elu]", "variants.direction=[gru,bigru]", "seeds=3"]


def made_up(plan: Plan, folder: ResultFolder) -> None:
    """Results whose curves rise, so that a chart of them shows something."""
    for number, (key, member) in enumerate(plan.members.items()):
        random = np.random.default_rng(number)
        level = 0.55 + 0.02 * (member.variant.activation.name == "arelu") + 0.01 * random.random()
        noise = 0.01 * random.standard_normal((6, len(STEPS)))
        rising = level - 0.3 * np.exp(-STEPS / 700) + noise
        curves = dict(zip(("dev_uar", "dev_war", "test_uar", "test_war"), rising, strict=False))
        curves |= {"step": STEPS, "train_loss": 1.6 - 1.5 * rising[4]}
        curves["gradient_norm"] = 1 + 3 * np.exp(-STEPS / 500) + 5 * noise[5]
        truths = random.integers(0, 2, 200)
        right = random.random(200) < level
        logits = np.eye(2, dtype=np.float32)[np.where(right, truths, 1 - truths)]
        per_utterance = {
            "ids": np.array([f"u{n}" for n in range(200)]),
            "truths": truths,
            "speakers": np.full(200, "A"),
            "dialogs": np.full(200, "d"),
            "lengths": np.ones(200, np.int64),
            "improvised": np.zeros(200, np.bool_),
        }
        result = fake_result(
            member, curves=curves, logits=dict.fromkeys(("dev", "oracle", "last"), logits),
            selected_step=dict.fromkeys(("dev", "oracle", "last"), 3000), wall_seconds=40.0,
            **per_utterance,
        )  # fmt: skip
        folder.write(key, result)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A study that was mirrored to MLflow."""
    workspace = Workspace(tmp_path_factory.mktemp("page") / "runs")
    spec = load("demo", CHANGES, workspace=workspace)
    plan, folder = make_plan(spec, DATA), workspace.study("demo")
    plan.record.write(folder)
    folder.spec.write_text(spec.as_yaml())
    made_up(plan, ResultFolder(folder.results))
    Mirror("demo", workspace).add(ResultFolder(folder.results))
    return workspace


@pytest.fixture(scope="module")
def best_first(workspace: Workspace) -> list[str]:
    """The variants' labels, sorted by their mean UAR at the checkpoint chosen on dev."""
    scores: dict[str, list[float]] = {}
    for result in ResultFolder(workspace.study("demo").results).by_hash().values():
        uar = member_scores(result)["test_uar.dev"]
        scores.setdefault(result.variant.label, []).append(uar)
    return sorted(scores, key=lambda label: -float(np.mean(scores[label])))


@pytest.fixture(scope="module")
def address(workspace: Workspace) -> Iterator[str]:
    """The address of the study's runs."""
    with serving(workspace, "demo") as (address, _):
        yield address


@contextlib.contextmanager
def serving(workspace: Workspace, study: str) -> Iterator[tuple[str, int]]:
    """The address of a study's runs, which MLflow serves as `gateswap ui` does, and the session of
    its processes.
    """
    port = free_port()
    command, environment = server_command(workspace, port)
    server = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        first_answer(server, f"http://127.0.0.1:{port}/health", seconds=180)
        yield addresses(workspace, port)[study], server.pid
    finally:
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:  # a worker answers a page that is gone
            server.kill()
            server.wait()


# MLflow's assistant for language models opens beside the first page that a browser ever sees of it;
# and the pages of runs have the menu for language models until "Model training" was chosen there
SEEN = """localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')
localStorage.setItem('mlflow.workflowType_v1', '"machine_learning"')"""


def used_before(browser: Any, *, height: int) -> Any:
    """A page of a browser in which someone has browsed MLflow's before."""
    page = browser.new_page(viewport={"width": 1500, "height": height})
    page.add_init_script(SEEN)
    return page


def picture(page: Any, name: str) -> None:
    """Take a picture for the documentation, where it is asked for."""
    if folder := os.environ.get("GATESWAP_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def test_the_printed_address_opens_the_runs_with_uar_and_war_first_and_the_best_on_top(
    address: str, best_first: list[str], browser: Any
) -> None:
    page = browser.new_page(viewport={"width": 1500, "height": 800})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.locator("[role=row]", has_text="arelu · gru").first.wait_for(timeout=60_000)
    page.locator("[role=columnheader]", has_text="test_war.dev").first.wait_for(timeout=60_000)
    header = page.locator("[role=columnheader]").all_inner_texts()
    shown = [text.strip() for text in header if text.strip()]
    metrics = dict.fromkeys(name for name in shown if name.startswith("test_"))  # two cells each
    assert list(metrics) == ["test_uar.dev", "test_war.dev"]
    assert "Run Name" in " ".join(shown)
    names = [name for name in page.locator("[role=row] a").all_inner_texts() if "gru" in name]
    assert names == best_first  # trials alone
    text = page.locator("body").inner_text()
    assert "usage data" not in text
    assert "Study demo: each run of the table is a variant" in text
    assert "Evaluation runs" not in text  # what MLflow shows of language models
    outside = [url for url in asked if not re.match(r"(http://127\.0\.0\.1|data:|blob:)", url)]
    assert not outside
    page.close()


def test_a_browser_in_which_it_was_used_before_shows_the_runs_and_nothing_beside_them(
    address: str, browser: Any
) -> None:
    page = used_before(browser, height=600)
    page.goto(address)
    rows = page.locator("[role=row] a", has_text=re.compile("· (bi)?gru$"))
    rows.nth(5).wait_for(timeout=60_000)
    page.locator("[role=columnheader]", has_text="test_war.dev").first.wait_for(timeout=60_000)
    assert page.get_by_placeholder("Ask a question").count() == 0  # MLflow's assistant
    picture(page, "mlflow-runs")
    page.close()


def test_a_trial_s_page_shows_its_mean_learning_curves(address: str, browser: Any) -> None:
    page = used_before(browser, height=900)
    page.goto(address)
    link = page.locator("[role=row] a", has_text=re.compile("arelu · gru$")).first
    link.click(timeout=60_000)
    page.get_by_role("tab", name="Model metrics").click(timeout=60_000)
    page.get_by_text("dev_uar", exact=True).first.wait_for(timeout=60_000)
    assert "Evaluation" not in page.locator("nav").first.inner_text()
    page.wait_for_timeout(1500)
    picture(page, "mlflow-trial")
    page.close()


def test_two_thousand_runs_are_mirrored_in_a_minute_and_the_page_finds_any_of_them(
    tmp_path: Path, browser: Any
) -> None:
    workspace = Workspace(tmp_path / "runs")
    members = write_workspace(workspace.root, members=2000).members.values()
    results = ResultFolder(workspace.study(NAME).results)
    begun = time.process_time()
    assert Mirror(NAME, workspace).add(results) == len(members) == 2000
    assert time.process_time() - begun < 60
    with serving(workspace, NAME) as (address, session):
        page = browser.new_page(viewport={"width": 1500, "height": 900})
        rows, begun = page.locator("[role=row] a"), cpu_seconds(session)
        page.goto(address)
        rows.filter(has_text="arelu · gru").first.wait_for(timeout=60_000)
        # of the server: what a browser takes for MLflow's scripts does not hang on the runs
        assert cpu_seconds(session) - begun < 3
        search = page.locator("input[placeholder*=metrics]")
        for asked, shown, found in (
            ({"activation": "arelu"}, ["arelu · "], 100),  # as many as MLflow loads at once
            ({"direction": "bigru"}, [" · bigru"], 100),
            ({"fold": "Ses02"}, [" · Ses02 · seed "], 100),
            (
                {"activation": "arelu", "direction": "bigru", "fold": "Ses02"},
                ["arelu · bigru · Ses02 · seed "],
                40,
            ),
        ):
            search.fill(" and ".join(f"params.{key} = '{text}'" for key, text in asked.items()))
            search.press("Enter")
            page.wait_for_function(ALL_SHOW, arg=shown, timeout=60_000)
            page.get_by_text(f"{found} matching runs").wait_for(timeout=60_000)
        page.close()


# whether the names of the runs that the table shows all have these parts
ALL_SHOW = """parts => {
    const links = [...document.querySelectorAll('[role=row] a')].map(link => link.innerText)
    const names = links.filter(name => name.includes('gru'))
    return names.length && names.every(name => parts.every(part => name.includes(part)))
}"""


def cpu_seconds(session: int) -> float:
    """What the processes of a session have computed so far."""
    ticks = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            ticks += (int(fields[11]) + int(fields[12])) * (int(fields[3]) == session)
    return ticks / os.sysconf("SC_CLK_TCK")
