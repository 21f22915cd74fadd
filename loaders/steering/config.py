"""What ``config.json`` says of a dataset."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recorder.errors import ReadError
from recorder.format.embeddings import CONFIG_FILE, DIMENSION, NEGATIVES

VARIANTS = ("zero", "centroid", "keyword", "residual")
"""Kinds of steering in the order of their codes, 0 to 3."""
MAPPED_FROM = 10 << 30
"""Estimated bytes from which a dataset is mapped unless its user says otherwise."""
_ESTIMATE = {DIMENSION: 384, "n_pairs": 10_000}
_TENSORS = 15
_SUM_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Curriculum:
    """How the probability of no steering runs from the first epoch on."""

    start: float
    end: float
    epochs: int

    def zero(self, epoch: int) -> float:
        """The probability of no steering in an epoch."""
        return self.start + (self.end - self.start) * min(epoch / self.epochs, 1.0)


@dataclass(frozen=True, slots=True)
class Settings:
    """The part of a configuration that loading depends on.

    Attributes
    ----------
    text : str
        As it stands in the file.
    given : dict
        All of it.
    dimension, negatives : int
        Values of an embedding; negatives of a pair.
    probabilities : tuple of float
        Of the kinds of steering, as configured, in the order of their codes.
    curriculum : Curriculum or None
    """

    text: str
    given: dict[str, Any] = field(repr=False)
    dimension: int
    negatives: int
    probabilities: tuple[float, ...]
    curriculum: Curriculum | None

    @classmethod
    def read(cls, folder: Path) -> Settings:
        """Read and check ``config.json``.

        Raises
        ------
        ReadError
            It is not there, no JSON, or lacks what it must have.
        """
        path = folder / CONFIG_FILE
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise ReadError(f"Config file not found: {path}") from None
        except UnicodeDecodeError as error:
            raise ReadError(f"{path} is no JSON: {error}") from error
        return cls.of(text, str(path))

    @classmethod
    def of(cls, text: str, where: str) -> Settings:
        """As :meth:`read`, of a text that stands at ``where``."""
        try:
            given = json.loads(text)
        except ValueError as error:
            raise ReadError(f"{where} is no JSON: {error}") from error
        if not isinstance(given, dict):
            raise ReadError(f"{where}: expected an object, got {type(given).__name__}")
        return cls(
            text,
            given,
            _whole(given, DIMENSION, where, least=1),
            _whole(given, NEGATIVES, where, least=0),
            _probabilities(given, where),
            _curriculum(given.get("curriculum"), where),
        )

    def steering(self, epoch: int) -> dict[str, float]:
        """Probabilities of the kinds of steering in an epoch.

        Without a curriculum they are the configured ones. With one, no steering has what the curriculum says,
        and the others share the rest in proportion to what is configured for them; where that is nothing
        at all, the centroid has it.
        """
        if self.curriculum is None:
            return dict(zip(VARIANTS, self.probabilities, strict=True))
        zero, others = self.curriculum.zero(epoch), self.probabilities[1:]
        total = sum(others)
        shares = [(1 - zero) * share / total for share in others] if total else [1 - zero, 0.0, 0.0]
        return dict(zip(VARIANTS, (zero, *shares), strict=True))

    def estimated_bytes(self) -> float:
        """Bytes of the dataset, from the configuration alone."""
        dimension, pairs = (self.given.get(name, default) for name, default in _ESTIMATE.items())
        return float(dimension * pairs * 4 * _TENSORS) if isinstance(pairs, int | float) else 0.0


def _whole(given: dict[str, Any], name: str, where: str, *, least: int) -> int:
    value = given.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ReadError(f"{where}: {name} must be an integer from {least} on, got {value!r}")
    return value


def _number(value: Any, name: str, where: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise ReadError(f"{where}: {name} must be a number from 0 to 1, got {value!r}")
    return float(value)


def _probabilities(given: dict[str, Any], where: str) -> tuple[float, ...]:
    name = "steering_probabilities"
    found = given.get(name)
    if not isinstance(found, dict) or set(found) != set(VARIANTS):
        raise ReadError(f"{where}: {name} must have {', '.join(VARIANTS)}, got {found!r}")
    values = tuple(_number(found[kind], f"{name}.{kind}", where) for kind in VARIANTS)
    if not math.isclose(sum(values), 1.0, abs_tol=_SUM_TOLERANCE):
        raise ReadError(f"{where}: {name} must sum to 1, and they sum to {sum(values)}")
    return values


def _curriculum(given: Any, where: str) -> Curriculum | None:
    if given is None:
        return None
    if not isinstance(given, dict):
        raise ReadError(f"{where}: curriculum must be an object, got {given!r}")
    epochs = given.get("epochs_total", 100)
    if not isinstance(epochs, int | float) or isinstance(epochs, bool) or not 0 < epochs < math.inf:
        raise ReadError(f"{where}: curriculum.epochs_total must be a number above 0, got {epochs!r}")
    bounds = (("zero_prob_start", 0.5), ("zero_prob_end", 0.1))
    start, end = (_number(given.get(name, default), f"curriculum.{name}", where) for name, default in bounds)
    return Curriculum(start, end, int(epochs) if epochs == int(epochs) else epochs)  # type: ignore[arg-type]
