"""A PyTorch module as layers: what Farr trains is declared, so that hospitals run no code of a researcher's.

PyTorch is not imported here: a module is looked at by the names of its parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from farr.errors import FarrError
from farr.texts import _

_BENT = {"ReLU": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid", "GELU": "gelu"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What a module is made of."""

    columns: int
    """Numbers that its first layer is given."""
    hidden: tuple[int | str, ...]
    """Widths and activations, without the last linear layer."""
    outputs: int
    """Numbers that the last layer gives."""


def layers_of(module: Any) -> Declared:
    """Return the layers of a ``torch.nn.Sequential`` of Linear, ReLU, Tanh, Sigmoid and GELU; raise FarrError else.

    Only its shape is taken: the first weights follow from a public seed.
    """
    if _name(module) != "Sequential":
        raise _refused(type(module).__name__)
    found: list[int | str] = []
    columns = outputs = 0
    for layer in module.children():
        name = _name(layer)
        if name == "Linear" and layer.bias is not None:
            if outputs and layer.in_features != outputs:
                raise _refused(f"Linear({layer.in_features}, ...)")
            columns, outputs = columns or int(layer.in_features), int(layer.out_features)
            found.append(outputs)
        elif name in _BENT and found and getattr(layer, "approximate", "none") == "none":
            found.append(_BENT[name])
        else:
            raise _refused(type(layer).__name__)
    if len(found) < 2 or isinstance(found[-1], str):  # noqa: PLR2004  a hidden layer and the last
        raise _refused(_("a Sequential that does not end in a linear layer after others"))
    return Declared(columns=columns, hidden=tuple(found[:-1]), outputs=outputs)


def _name(module: Any) -> str:
    """Return the name of one of PyTorch's own kinds of module; empty for any other, a subclass too."""
    kind = type(module)
    return kind.__name__ if kind.__module__.startswith("torch.nn.modules.") else ""


def _refused(what: str) -> FarrError:
    return FarrError(
        "module",
        _("Farr does not train {what}").format(what=what),
        remedy=_("use Linear, ReLU, Tanh, Sigmoid and GELU in a Sequential, or a Flower app: farr train --app DIR"),
    )
