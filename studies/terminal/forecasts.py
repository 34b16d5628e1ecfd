"""A forecast for people: a line for each variant, and one sentence."""

from typing import TYPE_CHECKING

from activations.wording import counted
from studies.terminal.display import duration, print_table

if TYPE_CHECKING:
    from studies.forecast import Forecast

GIB = 2**30


def print_forecast(found: "Forecast | None") -> None:
    """Print on stdout what the missing members will take; None: it could not be tried."""
    if found is None:
        print("how long it takes is said here once the study's features are computed")
        return
    if not found.variants:
        return
    print_table(
        ["variant", "setting", "missing", "at once", "expected", "range", "peak memory"],
        [
            [
                each.variant,
                " ".join(f"{name}={value}" for name, value in each.setting.items()),
                each.members,
                each.at_once,
                f"{duration(each.seconds)}{'' if each.tried else ' *'}",
                f"{duration(each.low)} – {duration(each.high)}",
                f"{each.peak_bytes / GIB:.1f} GiB",
            ]
            for each in found.variants
        ],
    )
    if found.sharing is not None and found.sharing.workers > 1:
        print(f"{found.sharing}: peak memory is that of each, the time below that of all together")
    low, expected, high = found.seconds
    members = sum(each.members for each in found.variants)
    tried = sum(each.tried for each in found.variants)
    untried = "; *: not tried, expected to be like those" if tried < len(found.variants) else ""
    what = "variants and settings" if any(each.setting for each in found.variants) else "variants"
    print(
        f"{counted(members, 'missing member')}, by a few steps of {tried} {what} on this machine, "
        f"as busy as it is: {duration(expected)} ({duration(low)} – {duration(high)}){untried}"
    )
