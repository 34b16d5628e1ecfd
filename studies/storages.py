"""Where the mirrors are kept: SQLite files of the workspace, or what a team shares, named by URLs.

- One URL each for Optuna and MLflow. What is given first counts: the option, the environment, the
  workspace's file; without any it is an SQLite file in the workspace.
- URLs hold passwords. So a storage shows itself without, and takes them out of what others say.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import quote, quote_plus, unquote

import yaml

from activations.errors import InputError
from activations.files import file_text
from studies import yaml_text
from studies.workspace import Workspace

Product = Literal["Optuna", "MLflow"]
PRODUCTS: tuple[Product, ...] = ("Optuna", "MLflow")
DATABASES = ("sqlite", "postgresql", "mysql")
SERVERS = ("http", "https")
SHORTEST = 4  # characters of a secret that is searched for as it is: a shorter one is any word

_URL = re.compile(r"(?P<scheme>[a-z0-9]+)(?:\+\w+)?://(?P<rest>.*)", re.DOTALL)
_USER = re.compile(r"(?P<before>//[^:@/\s]*):(?P<secret>[^\s]*)@")  # a password may hold an @
_QUERY = re.compile(r"(?P<before>[?&]\w*(?:passw|pwd|token|secret)\w*=)(?P<secret>[^&\s]*)", re.I)


@dataclass(frozen=True)
class Storage:
    """Where one product keeps its mirror.

    url: as SQLAlchemy or MLflow take it. given_by: option, variable or file; empty: nobody, it is
    the workspace's own. file: of SQLite, where it is that.
    """

    product: Product
    url: str = field(repr=False)
    given_by: str = ""
    file: Path | None = None

    @property
    def scheme(self) -> str:
        """`sqlite`, `postgresql`, `mysql`, `http` or `https`."""
        return self.url.partition(":")[0].partition("+")[0]

    @property
    def served(self) -> bool:
        """Whether it is a server of MLflow's that is asked, not a database."""
        return self.scheme in SERVERS

    @property
    def shown(self) -> str:
        """The file or the URL without its password, for people."""
        return str(self.file) if self.file else self.hidden(self.url)

    def hidden(self, text: str) -> str:
        """The text without the passwords that are in the URL, however they are written there."""
        for found in (*_USER.finditer(self.url), *_QUERY.finditer(self.url)):
            plain = unquote(found["secret"])
            written = {found["secret"], plain, quote(plain), quote_plus(plain), quote(plain, "")}
            for secret in sorted(written, key=len, reverse=True):
                if len(secret) >= SHORTEST:
                    text = text.replace(secret, "***")
        return _QUERY.sub(r"\g<before>***", _USER.sub(r"\g<before>:***@", text))


def storage_of(workspace: Workspace, product: Product) -> Storage:
    """Where a product's mirror of a workspace is.

    Raises InputError for a URL of a kind that the product does not take, one database for both, or
    a file that says no URL.
    """
    found = {each: _storage_of(workspace, each) for each in PRODUCTS}
    mlflow, optuna = found["MLflow"], found["Optuna"]
    if mlflow.url == optuna.url:
        raise InputError(
            f"{mlflow.shown} cannot hold both MLflow and Optuna, which keep their versions in one "
            f"table: give each a database of its own (see {mlflow.given_by}, {optuna.given_by})"
        )
    return found[product]


def _storage_of(workspace: Workspace, product: Product) -> Storage:
    name = product.lower()
    variable = f"GATESWAP_{product.upper()}_URL"
    option = workspace.optuna_url if product == "Optuna" else workspace.mlflow_url
    for url, source in (
        (option, f"--{name}-url"),
        (os.environ.get(variable), variable),
        (_from_file(workspace).get(name), str(workspace.settings)),
    ):
        if url:
            return _checked(product, url, source)
    file = workspace.optuna_database if product == "Optuna" else workspace.mlflow_database
    return Storage(product, sqlite_url(file), file=file)


def _checked(product: Product, url: str, source: str) -> Storage:
    known = DATABASES if product == "Optuna" else (*DATABASES, *SERVERS)
    storage = Storage(product, url, source)
    found = _URL.fullmatch(url)
    if found is None or found["scheme"] not in known:
        example = "postgresql://user@host/database"
        raise InputError(
            f"{source}: '{storage.shown[:100]}' is no address of {product}'s storage, which begins "
            f"with {', '.join(f'{each}://' for each in known)}; for example {example}"
        )
    if found["scheme"] != "sqlite":
        return storage
    name = unquote(found["rest"].partition("?")[0].removeprefix("/"))
    if not name or not found["rest"].startswith("/"):
        raise InputError(f"{source}: '{url[:100]}' names no file; write sqlite:///folder/file.db")
    return Storage(product, sqlite_url(Path(name)), source, Path(name))


def _from_file(workspace: Workspace) -> dict[str, str]:
    """The URLs that the workspace's file gives, by the products' names in small letters."""
    place, known = workspace.settings, [product.lower() for product in PRODUCTS]
    example = f"{place} has lines such as: mlflow: https://mlflow.example.org"
    try:
        given = yaml_text.read(file_text(place))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeError) as error:
        raise InputError(f"{place} cannot be read ({error}); {example}") from None
    except yaml.YAMLError:  # whose message may quote a password
        raise InputError(f"{place} is no YAML; {example}") from None
    if given is None:
        return {}
    if not isinstance(given, dict) or not all(isinstance(each, str) for each in given.values()):
        raise InputError(f"{place} holds something else than URLs; {example}")
    if unknown := [str(name) for name in given if name not in known]:
        raise InputError(f"{place} has no field '{unknown[0][:50]}', only {' and '.join(known)}")
    return given


def sqlite_url(file: Path) -> str:
    """The address of an SQLite file as SQLAlchemy wants it, whatever its folders are called.

    Where a letter has to be written otherwise the driver is named, too: of an address without it
    MLflow makes the folders, by the letters it reads.
    """
    try:
        path = written = str(file.resolve())
    except (OSError, RuntimeError):  # a link to itself: RuntimeError until Python 3.13
        path = written = str(file.absolute())
    for character in "%?#":  # % first: the others are written with it
        written = written.replace(character, f"%{ord(character):02X}")
    return f"sqlite{'' if written == path else '+pysqlite'}:///{written}"
