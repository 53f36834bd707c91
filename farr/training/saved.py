"""Models as files: JSON, or safetensors for a network's weights; with the card, and nothing that runs when it is read.

A file holds the catalogue under which the model was trained, so predictions need no connection.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from farr import files
from farr.errors import FarrError
from farr.texts import _
from farr.training import card
from farr.training.recipe import read
from farr.training.runs import read_run
from farr.training.strict import WRONG, made, texts, whole
from farr.training.terms import Prepared
from farr.training.trained import Trained
from queries.agreed.catalogue_file import read_catalogue
from queries.asked.canonical import decode, encode
from queries.asked.plan import Part, Plan
from queries.errors import QueryError
from queries.models.fitted import CalibrationBand, Evaluation, Figure, Fitted, Floats, Round
from queries.models.network import linears

FORMAT = "farr-model"
VERSION = 1
MOST_BYTES = 1 << 28

JSON, SAFETENSORS = ".json", ".safetensors"


def save(trained: Trained, folder: Path) -> Path:
    """Write a model and its card into a folder; return the model's file. Only the owner can read them."""
    files.make_folder(folder) if not folder.exists() else None
    name = trained.prepared.recipe.name
    files.replace(folder / f"{name}.md", card.markdown(trained).encode())
    if trained.kind == "network" and find_spec("safetensors") is not None:
        path = folder / f"{name}{SAFETENSORS}"
        files.replace(path, _tensors(trained))
        return path
    path = folder / f"{name}{JSON}"
    coefficients = {"coefficients": trained.fitted.coefficients.tolist()}
    files.replace(path, _text(trained, coefficients, indent=1).encode() + b"\n")
    return path


def load_model(path: str | Path) -> Trained:
    """Read a model that was saved; raise FarrError("damaged-model") for anything else. Nothing in it is executed."""
    path = Path(path)
    if path.stat().st_size > MOST_BYTES:
        raise _damaged(path, "too long")
    try:
        if path.suffix == SAFETENSORS:
            plain, weights = _read_tensors(path)
        else:
            plain = json.loads(path.read_bytes(), parse_float=Decimal)
            weights = np.array(plain["coefficients"], dtype=np.float64)
        return _trained(plain, weights)
    except (*WRONG, QueryError) as error:
        raise _damaged(path, type(error).__name__) from error


def _text(trained: Trained, more: Mapping[str, Any] = MappingProxyType({}), indent: int | None = None) -> str:
    """Return a model as JSON; raise ValueError where a number in it is none that JSON has a word for."""
    return json.dumps({**_plain(trained), **more}, ensure_ascii=False, allow_nan=False, indent=indent)


def _plain(trained: Trained) -> dict[str, Any]:
    prepared, fitted, run = trained.prepared, trained.fitted, trained.run
    return {
        "format": FORMAT,
        "version": VERSION,
        "card": card.card_of(trained),
        "table": [card.coefficient_of(each, trained.kind) for each in trained.table().coefficients],
        "recipe": prepared.recipe.to_plain(),
        "part": encode(prepared.part).decode(),
        "sites": list(prepared.sites),
        "catalogue": prepared.catalogue.source.decode(),
        "run": None if run is None else asdict(run) | {"recipe": None},
        "stopped": None
        if trained.stopped is None
        else {"code": trained.stopped.code, "message": trained.stopped.message, "remedy": trained.stopped.remedy},
        "fitted": {
            "names": list(fitted.names),
            "noise_covariance": None if fitted.noise_covariance is None else fitted.noise_covariance.tolist(),
            "sampling_covariance": None if fitted.sampling_covariance is None else fitted.sampling_covariance.tolist(),
            "contributors": fitted.contributors,
            "history": [asdict(each) for each in fitted.history],
            "finished": fitted.finished,
            "evaluation": None if fitted.evaluation is None else _nullable(asdict(fitted.evaluation)),
            "notes": list(fitted.notes),
        },
    }


def _trained(plain: dict[str, Any], weights: Floats) -> Trained:
    if plain["format"] != FORMAT or plain["version"] != VERSION:
        raise ValueError(plain["format"])
    catalogue = read_catalogue(plain["catalogue"].encode(), "catalogue.toml")
    recipe = read(plain["recipe"], "recipe")
    part = decode(Part, plain["part"].encode())
    decode(Plan, encode(Plan(catalogue=catalogue.digest, parts=(part,))))
    prepared = Prepared(recipe=recipe, part=part, sites=texts(plain["sites"]), catalogue=catalogue)
    if prepared.step.model != recipe.kind:
        raise ValueError(recipe.kind)
    if weights.shape != (prepared.shape.width,) or not np.isfinite(weights).all():
        raise ValueError(weights.shape)
    stopped = plain["stopped"]
    found = Trained(
        fitted=_fitted(plain["fitted"], recipe.kind, weights),
        prepared=prepared,
        run=None if plain["run"] is None else read_run(plain["run"], recipe),
        stopped=None
        if stopped is None
        else FarrError(str(stopped["code"]), str(stopped["message"]), remedy=str(stopped["remedy"])),
    )
    # What could not have been saved is none: whoever asks for its card later is not told only then.
    _text(found)
    return found


def _fitted(plain: dict[str, Any], kind: str, weights: Floats) -> Fitted:
    evaluation = plain["evaluation"]
    return Fitted(
        kind=kind,
        names=texts(plain["names"]),
        coefficients=weights,
        noise_covariance=_matrix(plain["noise_covariance"], len(weights)),
        sampling_covariance=_matrix(plain["sampling_covariance"], len(weights)),
        contributors=whole(plain["contributors"]),
        history=tuple(_round(each) for each in plain["history"]),
        finished=_truth(plain["finished"]),
        evaluation=None
        if evaluation is None
        else Evaluation(
            figures=tuple(
                made(Figure, each, **_floats(each, ("value", "low", "high"))) for each in evaluation["figures"]
            ),
            bands=tuple(CalibrationBand(**_floats(each, tuple(each))) for each in evaluation["bands"]),
            share=float(evaluation["share"]),
        ),
        notes=texts(plain["notes"]),
    )


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(type(value).__name__)
    return value


def _round(plain: dict[str, Any]) -> Round:
    return made(Round, plain, **_floats(plain, ("share", "loss", "low", "high", "moved")))


def _tensors(trained: Trained) -> bytes:
    """Return a network's weights by PyTorch's names of a Sequential's, the rest as the file's metadata."""
    from safetensors.numpy import save as to_bytes  # an extra

    step, shape = trained.prepared.step, trained.prepared.shape
    layers = linears(trained.fitted.coefficients, shape.columns, step.layers)
    places = [place for place, layer in enumerate(step.layers) if layer.kind == "linear"]
    tensors = {}
    for place, layer in zip(places, layers, strict=True):
        tensors[f"{place}.weight"] = np.ascontiguousarray(layer.matrix)
        tensors[f"{place}.bias"] = np.ascontiguousarray(layer.bias)
    data: bytes = to_bytes(tensors, metadata={"farr": _text(trained)})
    return data


def _read_tensors(path: Path) -> tuple[dict[str, Any], Floats]:
    if find_spec("safetensors") is None:
        raise FarrError("no-safetensors", _("safetensors is not installed"), remedy=_("pip install 'farr[train]'"))
    from safetensors import SafetensorError, safe_open  # an extra

    try:
        with safe_open(path, framework="numpy") as held:
            plain: dict[str, Any] = json.loads(held.metadata()["farr"], parse_float=Decimal)
            places = sorted({int(name.partition(".")[0]) for name in held.keys()})  # noqa: SIM118  no mapping
            parts = [
                np.asarray(held.get_tensor(f"{place}.{name}"), dtype=np.float64).ravel()
                for place in places
                for name in ("weight", "bias")
            ]
    except SafetensorError as error:
        raise ValueError(path.name) from error
    return plain, np.concatenate(parts)


def _matrix(value: object, width: int) -> Floats | None:
    if value is None:
        return None
    found: Floats = np.array(value, dtype=np.float64)
    if found.shape != (width, width):
        raise ValueError(found.shape)
    return found


def _floats(plain: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {
        name: (None if name in ("loss", "low", "high") and "loss" in plain else float("nan"))
        if plain[name] is None
        else float(plain[name])
        for name in names
    }


def _nullable(value: Any) -> Any:
    """Return plain data with null in place of numbers that JSON has no word for."""
    if isinstance(value, dict):
        return {name: _nullable(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_nullable(part) for part in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _damaged(path: Path, why: str) -> FarrError:
    return FarrError(
        "damaged-model",
        _("{path} is not a model that Farr saved ({why})").format(path=path, why=why),
        remedy=_("save it again: farr models save ID --output DIR"),
    )
