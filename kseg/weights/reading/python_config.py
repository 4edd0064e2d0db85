"""`read_config`: the settings in a config that OpenMMLab's programs write into their files, as text in Python."""

from __future__ import annotations

import ast
from itertools import accumulate
from typing import Any

_LONGEST = 1 << 18  # letters; such a config has some 10,000
_DEEPEST = 40  # brackets in each other


def read_config(text: Any, name: str) -> Any:
    """The value of one assignment in a config, such as that of `model`. The text is parsed and never executed.

    Args:
        text: `model = dict(type="EncoderDecoder", ...)` and the like.
        name: of the variable.

    Returns:
        Dicts, lists, tuples, texts, numbers; None where the text has no such assignment of plain values, or does
        more than assign plain values.

    Example:

    >>> read_config("model = dict(backbone=dict(depth=50), rates=(1, 12))", "model")
    {'backbone': {'depth': 50}, 'rates': (1, 12)}
    """
    if not isinstance(text, str) or len(text) > _LONGEST:
        return None
    depths = accumulate((letter in "([{") - (letter in ")]}") for letter in text)
    if max(depths, default=0) > _DEEPEST:
        return None
    try:
        config = _Config(ast.parse(text))
        return config.value(config.assigned[name]) if name in config.assigned else None
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None


class _Config:
    """A config of plain assignments, each name of which is assigned once; ValueError for every other text.

    Attributes:
        assigned: expressions by name.
    """

    def __init__(self, text: ast.Module) -> None:
        self.assigned: dict[str, ast.expr] = {}
        self.steps = 0
        for statement in text.body:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):  # a docstring
                continue
            plain = isinstance(statement, ast.Assign) and all(
                isinstance(one, ast.Name) for one in statement.targets
            )
            names = [one.id for one in statement.targets] if plain else []
            # "_base_": what this text does not say stands in other files
            if not plain or "_base_" in names or any(one in self.assigned for one in names):
                raise ValueError("a statement")
            self.assigned |= dict.fromkeys(names, statement.value)

    def value(self, node: ast.expr) -> Any:
        """A literal, a call of `dict` with names, or another assignment's value; ValueError for everything else."""
        self.steps += 1
        if self.steps > _LONGEST:  # names of names of names
            raise ValueError("a config without end")
        if isinstance(node, ast.Name) and node.id in self.assigned:
            return self.value(self.assigned[node.id])
        if isinstance(node, ast.Call):
            plain = isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args
            if not plain or any(word.arg is None for word in node.keywords):
                raise ValueError("a call")
            return {word.arg: self.value(word.value) for word in node.keywords}
        if isinstance(node, ast.Dict):
            if None in node.keys:
                raise ValueError("a dict inside of a dict")
            return {
                self.value(key): self.value(value) for key, value in zip(node.keys, node.values, strict=True)
            }
        if isinstance(node, (ast.List, ast.Tuple)):
            values = [self.value(one) for one in node.elts]
            return tuple(values) if isinstance(node, ast.Tuple) else values
        return ast.literal_eval(node)
