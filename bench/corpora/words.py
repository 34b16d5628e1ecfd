"""The words that people write into tables, and what we call what they mean."""

GENDERS = {"": "", "f": "female", "female": "female", "m": "male", "male": "male"}
BOOLEANS = {
    "": False,
    "0": False,
    "false": False,
    "no": False,
    "1": True,
    "true": True,
    "yes": True,
}
SPLITS = {
    "": "",
    "train": "train",
    "training": "train",
    "dev": "dev",
    "devel": "dev",
    "development": "dev",
    "val": "dev",
    "valid": "dev",
    "validation": "dev",
    "test": "test",
}
