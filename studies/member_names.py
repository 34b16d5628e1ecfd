"""Members of a study by what people call them: a hash, or variant, fold and seed."""

from collections.abc import Mapping, Sequence

from activations.errors import InputError
from bench.data.members import Member, Variant
from studies.result_files import PlanRecord
from studies.workspace import Workspace

SHORTEST = 6  # digits of a hash that name a member
SHOWN = 3  # names that a message offers


def chosen_members(members: Mapping[str, Member], names: Sequence[str]) -> dict[str, Member]:
    """The members (by hash) that any of the names means, in the plan's order; without names all.

    A name is a hash (six digits or more of it), or VARIANT, VARIANT/FOLD or VARIANT/FOLD/SEED; a
    variant's label (`arelu · gru`), its form for file names (`arelu-gru`), or its activation alone,
    which then means both directions. Raises InputError for a name that means none.
    """
    if not names:
        return dict(members)
    found: set[str] = set()
    for name in names:
        own = {key for key, member in members.items() if _means(name, key, member)}
        if not own:
            variants = dict.fromkeys(member.variant.slug for member in members.values())
            folds = dict.fromkeys(member.fold for member in members.values())
            raise InputError(
                f"no member '{name}'; a member is named by its hash or as VARIANT[/FOLD[/SEED]]. "
                f"Variants: {', '.join(variants)}; folds: {', '.join(folds)}"
            )
        found |= own
    return {key: member for key, member in members.items() if key in found}


def one_member(name: str, workspace: Workspace) -> tuple[str, str]:
    """The study and the hash of the one member that a name means.

    The name is a hash, of any study of the workspace, or STUDY/VARIANT/FOLD/SEED.
    Raises InputError where it means none or several.
    """
    study, slash, rest = name.partition("/")
    studies = [study] if slash else workspace.study_names()
    found: dict[str, tuple[str, Member]] = {}
    for each in studies:
        members = PlanRecord.read(workspace.study(each)).members
        if slash:
            own = chosen_members(members, [rest])
        else:
            own = {key: member for key, member in members.items() if _means(name, key, member)}
        for key, member in own.items():
            found.setdefault(key, (each, member))
    if len(found) == 1:
        ((key, (study, _)),) = found.items()
        return study, key
    if not found:
        raise InputError(
            f"no member '{name}' in {workspace.root}: name one by its hash, or as "
            "STUDY/VARIANT/FOLD/SEED, as in demo/arelu-gru/Ses01/0"
        )
    some = [
        f"{study}/{member.variant.slug}/{member.fold}/{member.seed}"
        for study, member in list(found.values())[:SHOWN]
    ]
    raise InputError(
        f"'{name}' means {len(found)} members; name one of them: {', '.join(some)}"
        + ", …" * (len(found) > SHOWN)
    )


def label(member: Member) -> str:
    """What a table calls a member."""
    return f"{member.variant.label} · {member.fold} · seed {member.seed}"


def _means(name: str, key: str, member: Member) -> bool:
    if len(name) >= SHORTEST and key.startswith(name):
        return True
    variant, _, rest = name.partition("/")
    fold, _, seed = rest.rpartition("/") if "/" in rest else (rest, "", "")
    return (
        _is_variant(variant, member.variant)
        and fold in ("", member.fold)
        and seed in ("", str(member.seed))
    )


def _is_variant(name: str, variant: Variant) -> bool:
    return name in (variant.label, variant.slug, variant.activation.name)
