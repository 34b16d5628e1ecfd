"""How predictions of recordings are shown."""

from studies.predicting import PredictedFiles
from studies.terminal.display import print_table


def print_predictions(found: PredictedFiles) -> None:
    """Print on stdout, of each recording, what is said and how sure the members are."""
    columns = ["recording", "class", *(f"p({name})" for name in found.classes), "members for it"]
    rows = [
        [
            each.file,
            each.label,
            *(f"{each.probabilities[name]:.2f}" for name in found.classes),
            f"{each.votes.get(each.label, 0)} of {found.members}",
        ]
        for each in found.predictions
    ]
    print_table(columns, rows)
