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
        Dicts, lists, tuples, texts, numbers; None where the text has no such assignment of plain values.

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
        for statement in ast.parse(text).body:
            targets = statement.targets if isinstance(statement, ast.Assign) else []
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return _value(statement.value)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        pass
    return None


def _value(node: ast.expr) -> Any:
    """A literal, or a call of `dict` with names; ValueError for everything else."""
    if isinstance(node, ast.Call):
        plain = isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args
        if not plain or any(word.arg is None for word in node.keywords):
            raise ValueError("a call")
        return {word.arg: _value(word.value) for word in node.keywords}
    if isinstance(node, ast.Dict):
        if None in node.keys:
            raise ValueError("a dict inside of a dict")
        return {_value(key): _value(value) for key, value in zip(node.keys, node.values, strict=True)}
    if isinstance(node, (ast.List, ast.Tuple)):
        values = [_value(one) for one in node.elts]
        return tuple(values) if isinstance(node, ast.Tuple) else values
    return ast.literal_eval(node)
