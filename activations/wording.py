"""How numbers stand in sentences: one thing, two things."""


def counted(number: int, one: str, many: str = "") -> str:
    """The number with its noun: "1 seed", "2 seeds"; many: a plural that is no "…s".

    >>> counted(1, "run"), counted(1200, "run"), counted(0, "study", "studies")
    ('1 run', '1,200 runs', '0 studies')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"
