"""The few names of `typing` that most modules need. That module takes 4 ms to import, for which an agent would wait.

Type checkers see the real names. When the program runs, only NamedTuple does something.
"""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any as Any
    from typing import NamedTuple as NamedTuple
    from typing import Protocol as Protocol
else:
    from collections import namedtuple

    Any = Protocol = object

    class _Declared(type):
        """Makes a named tuple of a class that lists its fields."""

        def __new__(mcs, name, bases, body):
            if not bases:
                return super().__new__(mcs, name, bases, body)
            fields = body.pop("__annotations__", {})
            defaults = [body.pop(field) for field in fields if field in body]
            made = namedtuple(name, fields, defaults=defaults, module=body["__module__"])
            made.__annotations__ = fields
            for key, value in body.items():
                if key != "__module__":
                    setattr(made, key, value)
            return made

    class NamedTuple(metaclass=_Declared):
        """Like typing's, for modules that import their annotations from the future, as all of ours do."""
