"""A study whose every name is what somebody would write who wants it to be obeyed."""

import dataclasses

import numpy as np

from bench.data.members import Activation, Variant
from bench.training.results import MemberResult
from tests.reports import synthetic

SCRIPT = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
TEX = (
    "\n\\immediate\\write18{touch taken}\\input{/etc/passwd}\\newwrite\\w"
    "\\immediate\\openout\\w=taken ^^5cend{tabular}}$a$b%&#_~\\\\[9pt]\\verb|\\catcode`\\"
)
CELL = "=cmd|' /C calc'!A1"
NAME = f"{CELL} {SCRIPT} {TEX} | `x` \x1b[2J\u202e"
BASELINE = f"{NAME} tanh"


def study(activations: tuple[str, ...], seeds: int = 2) -> list[MemberResult]:
    """Made-up results under such names; the baseline is `BASELINE`."""
    chosen = synthetic.variants(activations, ["gru"])
    return [_hostile(result) for result in synthetic.study(chosen, seeds=seeds, utterances=60)]


def _hostile(result: MemberResult) -> MemberResult:
    identity = result.identity
    variant = identity.member.variant
    renamed = Variant(
        Activation(f"{NAME} {variant.activation.name}", variant.activation.text),
        variant.update,
        variant.reset,
        variant.direction,
        variant.reset_order,
    )
    member = dataclasses.replace(identity.member, variant=renamed, fold=f"{NAME} {result.fold}")
    names = {name: f"{NAME} {name}" for name in result.classes}
    protocol = dataclasses.replace(
        identity.protocol, classes=tuple(names[name] for name in result.classes), merge={}
    )
    corpus = dataclasses.replace(identity.corpus, name=NAME, reservations=(NAME,))
    return dataclasses.replace(
        result,
        identity=dataclasses.replace(identity, member=member, protocol=protocol, corpus=corpus),
        classes=protocol.classes,
        speakers=np.array([f"{NAME} {speaker}" for speaker in result.speakers]),
        dialogs=np.array([f"{NAME} {dialog}" for dialog in result.dialogs]),
    )
