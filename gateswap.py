"""The command line: each command is a few lines that call a package.

- `gateswap --help` answers within half a second, so everything but typer is imported by the command
  that uses it.
- stdout carries what was asked for (one JSON document with --json), stderr everything else.
- An error is one line that starts with `gateswap:`; exit code 2 means the input, 1 anything else.
"""

import errno
import gc
import json
import os
import re
import shlex
import signal
import sys
import threading
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer
from typer.exceptions import TyperException

from activations.errors import GateswapError, InputError, one_line
from activations.kernels.cpu.headroom import guard_imports
from activations.kernels.cpu.threads import wait_asleep
from activations.wording import counted
from studies.terminal.home import lend_home
from studies.terminal.options import (
    Address,
    Device,
    Engine,
    Jobs,
    Json,
    Layout,
    MlflowUrl,
    OptunaUrl,
    Overrides,
    Precision,
    Quiet,
    Study,
    WorkerCpus,
    WorkerGpus,
    WorkspaceFolder,
)
from studies.terminal.streams import prepare_streams, silence
from studies.workspace import DEFAULT, Workspace

LONGEST = 2_000  # characters of an error: some quote what was typed
# a report makes many objects and little garbage: to look for it took a twelfth of its time
FEW_COLLECTIONS = (200_000, 50, 1_000)

app = typer.Typer(
    help="Which activation belongs inside your GRU? An ablation benchmark for speech emotion.",
    epilog="Start with: gateswap demo",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich is two thirds of the time it takes
)
corpus = typer.Typer(help="Make the demo corpus, or look into one.", rich_markup_mode=None)
app.add_typer(corpus, name="corpus")


@app.command()
def demo(workspace: WorkspaceFolder = DEFAULT, device: Device = "auto") -> None:
    """Make the demo corpus, run a small study on it and write its report."""
    from reports.study import write
    from studies.execution.machine import Machine
    from studies.loading import load
    from studies.runner import run_study
    from studies.terminal.display import TerminalDisplay

    place = Workspace(workspace)
    spec = load("demo", workspace=place)
    run_study(spec, place, machine=Machine(device=device), display=TerminalDisplay())
    page = write(place.study(spec.name).root, baseline=spec.baseline.name)
    print(f"The report: {page}\n  open it in a browser: {page.resolve().as_uri()}")
    print(f"Every run in MLflow: gateswap ui{_where(workspace)}")
    print("The speech is synthetic: these numbers say nothing about human emotion.")


@app.command()
def activations(
    activation: Annotated[
        str | None, typer.Argument(metavar="[NAME|FORMULA]", help="One of them, in detail.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw it and its derivative into this SVG, PDF or PNG.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the activations, or describe one: a name, an alias or a formula."""
    from activations import description
    from studies.terminal.display import print_activations, print_fields

    if activation is None:
        if plot:
            raise InputError(
                "--plot needs to know what to draw: gateswap activations NAME --plot F"
            )
        listing = description.listing()
        if as_json:
            _print_json(listing)
        else:
            print_activations(listing)
        return
    if plot:
        description.plot(activation, plot)
    detail = description.describe(activation)
    if as_json:
        _print_json(detail)
    else:
        print_fields(detail)


@corpus.command("demo")
def corpus_demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where it is written to.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    dialogues: Annotated[int, typer.Option(help="Dialogues in each of the five sessions.")] = 10,
    jobs: Jobs = None,
) -> None:
    """Speak the demo corpus: synthetic speech in IEMOCAP's layout."""
    from bench.corpora.demo import write_demo_corpus
    from studies.terminal.display import TerminalDisplay

    with TerminalDisplay().counting("utterances spoken") as count:
        root = write_demo_corpus(
            folder, seed=seed, dialogues_per_session=dialogues, jobs=jobs, progress=count
        )
    print(root)


@corpus.command("describe")
def corpus_describe(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The corpus's folder.")],
    layout: Layout = "iemocap",
    as_json: Json = False,
) -> None:
    """Count what is in a corpus and what the default protocol makes of it."""
    from bench.corpora.reading import read_corpus
    from bench.data.describe import describe
    from bench.data.protocol import Protocol
    from studies.terminal.corpora import print_corpus

    read = read_corpus(folder, layout, strict=False)
    found = describe(read, Protocol())
    if as_json:
        _print_json(found)
    else:
        print_corpus(found)
    if read.faults:
        raise typer.Exit(1)


@app.command()
def folds(
    study: Study,
    overrides: Overrides = None,
    write: Annotated[
        Path | None, typer.Option(help="Write every utterance with its sides into this CSV file.")
    ] = None,
    workspace: WorkspaceFolder = DEFAULT,
    as_json: Json = False,
) -> None:
    """Show the folds of a study: who and how much of each class is trained on and tested."""
    from bench.data.review import as_csv, fold_notes, review
    from studies.loading import load
    from studies.material import read_folds
    from studies.terminal.corpora import print_folds
    from studies.terminal.display import TerminalDisplay

    place = Workspace(workspace)
    spec = load(study, overrides or [], workspace=place)
    read, examples, made = read_folds(spec, place, TerminalDisplay())
    if write:
        _write(write, as_csv(made, examples))
    found = {
        "corpus": read.name,
        "protocol": spec.protocol.as_dict(),
        "folds": [review(fold, examples) for fold in made],
        "notes": fold_notes(made, examples, spec.protocol),
    }
    if as_json:
        _print_json(found)
    else:
        print_folds(found, spec.protocol.text)


@app.command()
def features(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The corpus's folder.")],
    layout: Layout = "iemocap",
    jobs: Jobs = None,
    workspace: WorkspaceFolder = DEFAULT,
    compare: Annotated[
        int,
        typer.Option(
            "--compare", min=0, metavar="N", help="Correlate with openSMILE's on N files."
        ),
    ] = 0,
) -> None:
    """Compute the features of a corpus ahead of a study, with the default settings."""
    from bench.corpora.reading import read_corpus
    from bench.features import compute_features
    from studies.terminal.display import TerminalDisplay

    if compare:
        from studies.terminal.features import print_comparison

        print_comparison(read_corpus(folder, layout), compare)
        return
    with TerminalDisplay().counting("utterances") as count:
        store = compute_features(
            read_corpus(folder, layout), Workspace(workspace).features, jobs=jobs, progress=count
        )
    frames = counted(len(store.frames), "frame")
    print(f"{store.folder}: {counted(len(store), 'utterance')}, {frames}")


@app.command()
def run(
    study: Study,
    overrides: Overrides = None,
    device: Device = "auto",
    precision: Precision = "ieee",
    engine: Engine = "local",
    address: Address = "",
    worker_cpus: WorkerCpus = None,
    worker_gpus: WorkerGpus = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan and what it will take.")
    ] = False,
    quiet: Quiet = False,
    models: Annotated[
        bool, typer.Option("--models", help="Also train again what has a result and no model.")
    ] = False,
    workspace: WorkspaceFolder = DEFAULT,
    optuna_url: OptunaUrl = None,
    mlflow_url: MlflowUrl = None,
) -> None:
    """Train what is missing of a study; the same command continues after an interruption."""
    from studies.execution.machine import Machine
    from studies.loading import load
    from studies.runner import foresee_study, run_study
    from studies.terminal.display import TerminalDisplay, print_status

    place = Workspace(workspace, optuna_url=optuna_url, mlflow_url=mlflow_url)
    display = TerminalDisplay(quiet=quiet)
    spec = load(study, overrides or [], workspace=place)
    machine = Machine(
        device=device,
        precision=precision,
        engine=engine,
        address=address,
        worker_cpus=worker_cpus,
        worker_gpus=worker_gpus,
    )
    if dry_run:
        from studies.execution.trainers import Trainers
        from studies.forecast import forecast_study
        from studies.model_files import disk_use
        from studies.terminal.forecasts import print_forecast

        trainers = Trainers(machine)
        found = foresee_study(spec, place, display)
        plan = found.plan
        print_status(found.status)
        most = max(map(len, plan.stacks))
        print(f"{counted(len(plan.stacks), 'stack')} of up to {counted(most, 'member')}")
        if models_line := disk_use(plan.members, spec, place.study(spec.name).root):
            print(models_line)
        if not trainers.devices:
            print("how long it takes on a cluster is not foreseen; on this machine: --engine local")
            return
        print_forecast(forecast_study(plan, found.material, place, trainers))
        return
    done = run_study(spec, place, machine=machine, models=models, display=display)
    print(
        f"study {spec.name}: {counted(done.planned, 'member')}, {done.trained} trained now, "
        f"{done.diverged} of these diverged; next: gateswap report {spec.name}{_where(workspace)}"
    )


@app.command()
def plan(study: Study, overrides: Overrides = None, workspace: WorkspaceFolder = DEFAULT) -> None:
    """Tell a study's plan in prose, fit for a preregistration, and what its design can find."""
    from reports.planned import plan_paragraph
    from studies.loading import load

    place = Workspace(workspace)
    spec = load(study, overrides or [], workspace=place)
    print(plan_paragraph(spec, place.study(spec.name)))


@app.command()
def tune(
    study: Study,
    overrides: Overrides = None,
    trials: Annotated[
        int | None,
        typer.Option(
            min=1, max=10_000, help="Settings of each variant on each fold; as the study says."
        ),
    ] = None,
    device: Device = "auto",
    precision: Precision = "ieee",
    engine: Engine = "local",
    address: Address = "",
    worker_cpus: WorkerCpus = None,
    worker_gpus: WorkerGpus = None,
    quiet: Quiet = False,
    workspace: WorkspaceFolder = DEFAULT,
    optuna_url: OptunaUrl = None,
    mlflow_url: MlflowUrl = None,
) -> None:
    """Search the settings of each variant, fold by fold on its own dev set; goes on where it was.

    A study with `settings: tuned` then runs what was chosen, on seeds that were not searched with.
    """
    from studies.execution.machine import Machine
    from studies.loading import load
    from studies.terminal.display import TerminalDisplay, print_choices
    from studies.tuner import tune_study
    from studies.tuning import with_trials

    place = Workspace(workspace, optuna_url=optuna_url, mlflow_url=mlflow_url)
    spec = load(study, overrides or [], workspace=place)
    machine = Machine(
        device=device,
        precision=precision,
        engine=engine,
        address=address,
        worker_cpus=worker_cpus,
        worker_gpus=worker_gpus,
    )
    found = tune_study(
        spec if trials is None else with_trials(spec, trials),
        place,
        machine=machine,
        display=TerminalDisplay(quiet=quiet),
    )
    print_choices(found, list(spec.search))


@app.command()
def status(study: Study, workspace: WorkspaceFolder = DEFAULT, as_json: Json = False) -> None:
    """Show how far a study is."""
    import studies
    from studies.terminal.display import print_status

    found = studies.status(study, workspace=workspace)
    if as_json:
        _print_json(found.as_dict())
    else:
        print_status(found)


@app.command()
def report(
    study: Study,
    others: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STUDY]...",
            help="Compare the first with this one, or put several corpora together.",
        ),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="The activation that the others are compared with.")
    ] = None,
    margin: Annotated[
        float | None, typer.Option(min=0.01, help="Practically equal within this many points.")
    ] = None,
    level: Annotated[
        float | None, typer.Option(min=1e-6, max=0.5, help="Of false findings in a family.")
    ] = None,
    metric: Annotated[
        Literal["uar", "war"] | None, typer.Option(help="What verdicts are about.")
    ] = None,
    family: Annotated[
        list[str] | None,
        typer.Option(help="A variant to judge in a family of their own; several times."),
    ] = None,
    figure: Annotated[
        list[str] | None,
        typer.Option(help="Draw only this figure; may be given several times."),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="svg, pdf or png; may be given several times."),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option("--with", metavar="CSV", help="Another model's predictions, beside ours."),
    ] = None,
    workspace: WorkspaceFolder = DEFAULT,
) -> None:
    """Write the report of a study, single figures of it, or a comparison of several studies.

    What is not as the study's plan has it makes the report exploratory: no verdicts.
    """
    gc.set_threshold(*FEW_COLLECTIONS)
    from reports import exported
    from reports import study as of_study
    from reports.planned import Asked
    from studies.completion import find_study

    place = Workspace(workspace)
    if exports := exported.exports_among([study, *(others or [])]):
        if figure or formats or predictions:
            raise InputError(
                f"{exports[0]} is an export, whose report is written whole: leave --figure, "
                "--format and --with out"
            )
        page = exported.write_exported(
            exports,
            baseline=baseline,
            margin=margin,
            level=level,
            metric=metric,
            family=family or (),
        )
        print(page)
        return
    name = find_study(study, place)
    if place.study(name).tuned_only:
        print(of_study.write_tuned(place.study(name)))
        return
    asked = Asked(
        baseline=_baseline(name, place, baseline),
        margin=margin,
        level=level,
        metric=metric,
        family=family or (),
    )
    if others:
        names = [name, *(find_study(other, place) for other in others)]
        print(of_study.compare_with(names, place, asked=asked))
    elif predictions:
        print(of_study.write_with(name, predictions, place, asked=asked))
    elif figure or formats:
        drawn = of_study.draw_figures(
            name, place, asked=asked, names=figure or (), formats=formats or ()
        )
        print("\n".join(map(str, drawn)))
    else:
        print(of_study.write(place.study(name).root, **vars(asked)))


@app.command()
def predict(
    study: Study,
    recordings: Annotated[
        list[Path], typer.Argument(metavar="WAV...", help="Recordings, one utterance in each.")
    ],
    members: Annotated[
        list[str] | None,
        typer.Option(help="A hash or VARIANT[/FOLD[/SEED]]; several times; by default all."),
    ] = None,
    by: Annotated[
        str, typer.Option(help="How members agree: mean of probabilities, or majority.")
    ] = "mean",
    speakers: Annotated[
        str, typer.Option(help="Whose recordings: of one speaker, one a folder, one a file.")
    ] = "one",
    workspace: WorkspaceFolder = DEFAULT,
    as_json: Json = False,
) -> None:
    """Tell the emotion of recordings by the trained members of a study."""
    import studies
    from studies.terminal.display import TerminalDisplay
    from studies.terminal.predictions import print_predictions

    found = studies.predict(
        study, recordings, members=members or (), by=by, speakers=speakers, workspace=workspace
    )
    if as_json:
        _print_json(found.as_dict())
        return
    print_predictions(found)
    display = TerminalDisplay()
    for note in found.notes:
        display.say(f"note: {note}")


@app.command()
def export(
    what: Annotated[
        str,
        typer.Argument(metavar="STUDY|MEMBER", help="Member: a hash, or STUDY/VARIANT/FOLD/SEED."),
    ],
    target: Annotated[
        Path,
        typer.Argument(
            metavar="DIR|FILE.onnx|DIR.mlflow", help="A folder that does not exist, or a file."
        ),
    ],
    hash_ids: Annotated[
        bool, typer.Option("--hash-ids", help="For licensed corpora: no id is written.")
    ] = False,
    contents: Annotated[
        Literal["scores", "predictions", "everything"],
        typer.Option(help="Of less than everything no report can be written."),
    ] = "everything",
    workspace: WorkspaceFolder = DEFAULT,
) -> None:
    """Write a study's results as an open data set, which `gateswap report DIR` reads.

    Into a file that ends in .onnx: a trained member, compared in onnxruntime with what it is; into
    a folder that ends in .mlflow: the same as an MLflow model, for mlflow.pyfunc.
    """
    from studies.completion import find_study
    from studies.exchange.export import export_study

    place = Workspace(workspace)
    if target.suffix in (".onnx", ".mlflow"):
        _export_member(what, target, place)
        return
    of = place.study(find_study(what, place))
    print(export_study(of, target, hash_ids=hash_ids, contents=contents))


def _export_member(name: str, target: Path, place: Workspace) -> None:
    from bench.training.loaded_network import load_network
    from bench.training.onnx_file import export_onnx
    from studies.member_names import one_member
    from studies.mlflow_model import save_mlflow_model
    from studies.model_files import model_file

    study, member_hash = one_member(name, place)
    file = model_file(study, member_hash, place)
    if target.suffix == ".mlflow":
        save_mlflow_model(file, target)
        print(f"{target}: mlflow.pyfunc.load_model reads it; columns: audio, speaker")
        return
    network = load_network(file)
    done = export_onnx(network, target)
    print(f"{target}: {', '.join(network.classes)}; inputs: ", end="")
    print("; ".join(f"{name} {axes}" for name, axes in done.inputs.items()))
    if done.difference is None:
        print("not compared with the network: pip install onnxruntime")
    else:
        print(f"onnxruntime's logits are the network's to {done.difference:.1e}")


@app.command("validate-statistics")
def validate_statistics(
    simulations: Annotated[
        int | None, typer.Option(min=20, max=1_000_000, help="Simulated studies of each kind.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of the simulation.")] = 0,
    write: Annotated[
        Path | None, typer.Option(help="Replace the table of this Markdown page.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Simulate studies with and without a true difference and count what each test finds."""
    from rich import print as rich_print

    from reports import validation
    from studies.terminal.display import TerminalDisplay

    with TerminalDisplay().counting("percent of the simulations") as count:
        found = validation.validate(
            simulations or validation.STUDIES,
            seed=seed,
            progress=lambda _, share: count(round(100 * share), 100),
        )
    if write:
        found.write_into(write)
    if as_json:
        _print_json(found.as_dict())
    else:
        rich_print(found.table())
    if not found.kept:
        raise typer.Exit(1)


@app.command()
def mirror(
    study: Study,
    workspace: WorkspaceFolder = DEFAULT,
    optuna_url: OptunaUrl = None,
    mlflow_url: MlflowUrl = None,
) -> None:
    """Rebuild what MLflow and Optuna lack of a study from its result files."""
    from studies.completion import find_study
    from studies.reflecting import mirror_study
    from studies.storages import storage_of
    from studies.terminal.display import TerminalDisplay

    place = Workspace(workspace, optuna_url=optuna_url, mlflow_url=mlflow_url)
    members, trials = mirror_study(find_study(study, place), place, TerminalDisplay())
    print(f"added {counted(members, 'member')} to {storage_of(place, 'MLflow').shown}")
    print(f"added {counted(trials, 'trial')} to {storage_of(place, 'Optuna').shown}")


@app.command()
def ui(
    port: Annotated[int, typer.Option(min=1, max=65535)] = 5000,
    workspace: WorkspaceFolder = DEFAULT,
    mlflow_url: MlflowUrl = None,
) -> None:
    """Browse all runs in MLflow, served to this machine only; a team's server is pointed to."""
    from studies.serving import serve_runs
    from studies.terminal.display import TerminalDisplay

    place = Workspace(workspace, mlflow_url=mlflow_url)
    tell = partial(print, flush=True)
    serve_runs(place, port, tell=tell, say=TerminalDisplay().say)


@app.command()
def speed(
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    activation: Annotated[
        list[str] | None, typer.Option(help="Only this one; may be given several times.")
    ] = None,
    hidden: Annotated[
        list[int] | None, typer.Option(help="Only this size; may be given several times.")
    ] = None,
    part: Annotated[
        list[str] | None,
        typer.Option(help="step, layer, stack, lengths or peers; may be given several times."),
    ] = None,
    repeats: Annotated[int, typer.Option(help="Rounds whose median counts.")] = 7,
    precision: Annotated[
        str | None,
        typer.Option(help="Of products: ieee; on a GPU also tf32 and bf16, on some CPUs bf16."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the ratios into this SVG, PDF or PNG.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Time training steps and GRU layers against torch.nn.GRU and others."""
    from rich import print as rich_print

    from activations.description import save_figure
    from bench.speed.layers import PARTS, figure, measure
    from studies.terminal.display import TerminalDisplay

    with TerminalDisplay().counting("heats") as count:
        found = measure(
            device,
            activations=activation,
            parts=part or [name for name in PARTS if name != "peers"],
            hidden=hidden,
            repeats=repeats,
            precision=precision,
            progress=lambda done, total, _: count(done, total),
        )
    if plot:
        save_figure(figure(found)[0], plot)
    if as_json:
        _print_json(found.as_dict())
    else:
        rich_print(found)


@app.command()
def doctor(
    workspace: WorkspaceFolder = DEFAULT,
    optuna_url: OptunaUrl = None,
    mlflow_url: MlflowUrl = None,
    as_json: Json = False,
) -> None:
    """Check what works on this machine and say what to do about the rest."""
    from studies.terminal.display import print_diagnosis
    from studies.terminal.doctor import examine

    found = examine(Workspace(workspace, optuna_url=optuna_url, mlflow_url=mlflow_url))
    if as_json:
        _print_json(found.as_dict())
    else:
        print_diagnosis(found)
    if not found.ok:
        raise typer.Exit(1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1 or 2 (the input is wrong)."""
    if threading.current_thread() is threading.main_thread():  # no other may set handlers
        signal.signal(signal.SIGTERM, _terminate)
    prepare_streams()
    _warn_in_our_way()
    wait_asleep()
    guard_imports()
    try:
        Path.cwd()  # what libraries do without one has no words: MKL ends the process
    except OSError:
        return _complain("the current folder was deleted or is out of reach; cd to another", 2)
    lend_home()
    os.environ["MPLBACKEND"] = "agg"  # a notebook's backend, inherited, may not exist here
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = app(given or ["--help"], prog_name="gateswap", standalone_mode=False)
        sys.stdout.flush()
    except TyperException as error:
        return _complain(f"{error.format_message().rstrip('.')}. See gateswap --help", 2)
    except (KeyboardInterrupt, typer.Abort):
        return _complain("stopped", 1)
    except BrokenPipeError:  # the reader has closed the pipe, as `head` does
        silence(sys.stdout)
        return 1
    except Exception as error:
        if _is_starved(error):
            return _complain(
                "there is not enough memory for this, or no thread more; ask for less at once", 1
            )
        if os.environ.get("GATESWAP_TRACEBACK"):
            raise
        if isinstance(error, GateswapError):
            return _complain(str(error), 2 if isinstance(error, InputError) else 1)
        if isinstance(error, OSError) and error.filename is not None and error.strerror:
            if error.filename == "stdout":
                silence(sys.stdout)
            return _complain(f"{error.filename}: {error.strerror.lower()}", 1)
        return _complain(
            f"a mistake in gateswap ({type(error).__name__}: {error}); please report it with what "
            "the same command prints after: export GATESWAP_TRACEBACK=1",
            1,
        )
    if code == 130:  # typer's answer to Ctrl-C
        return _complain("stopped", 1)
    return code if isinstance(code, int) else 0


def _is_starved(error: Exception) -> bool:
    """Whether a process that may have no more memory or threads has raised it, in whose words."""
    of_system = isinstance(error, OSError) and error.errno in (errno.ENOMEM, errno.EAGAIN)
    words = ("can't start new thread", "failed to map segment", "annot allocate memory")
    return isinstance(error, MemoryError) or of_system or any(each in str(error) for each in words)


def _complain(message: str, code: int) -> int:
    line = one_line(message)
    print(f"gateswap: {line[:LONGEST]}{'…' * (len(line) > LONGEST)}", file=sys.stderr)
    return code


def _terminate(_signal: int, _frame: object) -> NoReturn:
    """A polite kill ends a command as Ctrl-C does: what is finished is kept."""
    raise KeyboardInterrupt


def _warn_in_our_way() -> None:
    """Show warnings to people, also where PYTHONWARNINGS makes errors of them: others' libraries
    warn, and a mirror would not be drawn.
    """
    warnings.showwarning = _show_warning
    shown = [re.sub("^e[^:]*", "default", option) for option in sys.warnoptions]
    if shown != sys.warnoptions:
        sys.warnoptions[:] = shown  # which processes that Python starts get, too
        os.environ["PYTHONWARNINGS"] = ",".join(shown)
        warnings.filters[:] = [  # type: ignore[index]
            ("default", *rest) if action == "error" else (action, *rest)
            for action, *rest in warnings.filters
        ]


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Warnings are for people: one line, without the place in our code."""
    line = one_line(str(message))
    print(f"gateswap: warning: {line}", file=sys.stderr)


def _where(workspace: Path) -> str:
    """The option that a command to be typed next needs."""
    return "" if workspace == DEFAULT else f" --workspace {shlex.quote(str(workspace))}"


def _baseline(name: str, place: Workspace, given: str | None) -> str | None:
    """The given baseline by its own name; None: as planned.

    Raises InputError for a study that was not run, or an activation that does not exist.
    """
    from activations import get
    from studies.result_files import PlanRecord

    PlanRecord.read(place.study(name))
    if given is None or " · " in given:
        return given  # a variant's label stays as it is
    return get(given).name


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror})") from None


def _print_json(data: object) -> None:
    narrow = "utf" not in (sys.stdout.encoding or "utf-8").lower()
    print(json.dumps(data, ensure_ascii=narrow, indent=1, allow_nan=False))


if __name__ == "__main__":
    sys.exit(main())
