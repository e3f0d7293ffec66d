"""Reading a pickle as data: a dry run that can build nothing but lists, maps and records of this file.

A pickle is a program that calls whatever it names. Before torch's restricted unpickler sees a foreign file, this module
walks through its instructions with a machine that knows about twenty names. Each of them is replaced by a small
function that checks its arguments and keeps them; numpy, codecs and torch are never called. So names that weights do
not need, forbidden attribute look-ups, sizes that the file cannot hold and values that grow out of proportion are found
before anything is allocated.
"""

from __future__ import annotations

import pickletools
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

from engine.models.pickle_weights.allowed_globals import (
    NAMES,
    Damaged,
    HistoryBuffer,
    PickledArray,
    PickledDtype,
    Refused,
    Storage,
    StorageKind,
    name_of,
    plain_key,
)

MAX_INSTRUCTIONS = 5_000_000  # a training file with years of history has some 100,000: histories are arrays
PICKLE_PROTOCOL = 2  # the one torch writes and its restricted unpickler reads
# What NEWOBJ may make, what BUILD may give a state to.
NEW_CLASSES = (HistoryBuffer,)
BUILDABLE = (HistoryBuffer, PickledArray, PickledDtype)

_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
    "EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple,
}  # fmt: skip
_WITH_VALUE = frozenset(
    ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "SHORT_BINSTRING")
)
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class Stream(Protocol):
    """What a pickle is read from: a file or a memory map."""

    def read(self, n: int = ..., /) -> bytes: ...
    def readline(self) -> bytes: ...
    def tell(self) -> int: ...


class Machine:
    """One dry run.

    Args:
        legacy: the pickle is the content of a file of the format without an archive.

    Attributes:
        storages: what the pickle says about the values held elsewhere, by key.
        protocol: of the pickle.
    """

    def __init__(self, *, legacy: bool = False) -> None:
        self._legacy = legacy
        self.storages: dict[str, Storage] = {}
        self.protocol = 0
        self._stack: list[Any] = []
        self._outer: list[list[Any]] = []  # what lay below each open mark
        self._memo: dict[int, Any] = {}

    def run(self, stream: Stream) -> Any:
        """Walk through one pickle and leave ``stream`` behind its last byte.

        Returns:
            Plain values, and records of this module in place of anything else.

        Raises:
            Refused, Damaged: see there.
        """
        try:
            for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):  # type: ignore[arg-type]
                if count > MAX_INSTRUCTIONS:
                    raise Damaged("its pickle does not end within reason")
                if opcode.name == "STOP":
                    return self._stack.pop()
                self._step(opcode.name, argument)
        except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
            reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
            raise Damaged(f"its pickle is broken: {reason}") from None
        raise Damaged("its pickle has no end")

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name in _WITH_VALUE:
            stack.append(argument.decode("latin-1") if isinstance(argument, bytes) else argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name in _TUPLES:
            stack[-_TUPLES[name] :] = [self._top(_TUPLES[name])]
        elif name == "MARK":
            self._outer.append(stack)
            self._stack = []
        elif name == "TUPLE":
            items = self._pop_mark()
            self._stack.append(tuple(items))
        elif name in ("APPEND", "APPENDS"):
            self._append([stack.pop()] if name == "APPEND" else self._pop_mark())
        elif name in ("SETITEM", "SETITEMS"):
            items = [stack.pop(-2), stack.pop()] if name == "SETITEM" else self._pop_mark()
            self._set_items(items)
        elif name == "GLOBAL":
            stack.append(self._global(argument.replace(" ", ".", 1)))
        elif name == "REDUCE":
            self._reduce()
        elif name == "NEWOBJ":
            self._new_object()
        elif name == "BUILD":
            self._build(stack.pop())
        elif name == "BINPERSID":
            stack.append(self._storage(stack.pop()))
        elif name == "PROTO":
            self.protocol = argument
        else:
            self._newer(name, argument)

    def _newer(self, name: str, argument: Any) -> None:
        """Instructions that torch does not write; followed only as far as it takes to name what they ask for."""
        if name == "MEMOIZE":
            self._memo[len(self._memo)] = self._stack[-1]
        elif name == "STACK_GLOBAL":
            attribute, module = self._stack.pop(), self._stack.pop()
            self._stack.append(self._global(f"{module}.{attribute}"))
        elif name == "INST":
            raise Refused(str(argument).replace(" ", "."))
        elif name != "FRAME":
            raise Damaged(f"its pickle has an instruction {name} that PyTorch does not write")

    def _global(self, name: str) -> Any:
        if name.startswith("__builtin__."):
            name = "builtins." + name.removeprefix("__builtin__.")
        if name not in NAMES:
            raise Refused(name)
        return NAMES[name]

    def _top(self, count: int) -> tuple[Any, ...]:
        if len(self._stack) < count:
            raise Damaged("its pickle is broken: too few values")
        return tuple(self._stack[-count:])

    def _pop_mark(self) -> list[Any]:
        if not self._outer:
            raise Damaged("its pickle is broken: no mark")
        items = self._stack
        self._stack = self._outer.pop()
        return items

    def _append(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise Refused(f"appending to {name_of(target)}")
        target.extend(items)

    def _set_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) not in (dict, OrderedDict, Counter):
            raise Refused(f"setting items of {name_of(target)}")
        if len(items) % 2:
            raise Damaged("its pickle is broken: a key without a value")
        for key, value in zip(items[::2], items[1::2]):
            target[plain_key(key)] = value

    def _reduce(self) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if type(arguments) is not tuple or not any(function is known for known in NAMES.values()):
            raise Refused(f"calling {name_of(function)}")
        if isinstance(function, StorageKind) or function is HistoryBuffer:
            raise Refused(f"calling {name_of(function)}")
        self._stack.append(function(*arguments))

    def _new_object(self) -> None:
        arguments, kind = self._stack.pop(), self._stack.pop()
        if kind not in NEW_CLASSES or arguments != ():
            raise Refused(f"making an object of {name_of(kind)}")
        self._stack.append(kind())

    def _build(self, state: Any) -> None:
        target = self._stack[-1]
        if isinstance(target, BUILDABLE):
            target.__setstate__(state)
        elif type(target) is not OrderedDict or type(state) is not dict or state.keys() - {"_metadata"}:
            # The versions of modules, which torch keeps with a state dict, are the only attributes it may get.
            raise Refused(f"setting the state of {name_of(target)}")

    def _storage(self, identity: Any) -> Storage:
        if type(identity) is not tuple or not identity or identity[0] != "storage":
            raise Refused(f"a persistent {name_of(identity)} that is not a storage")
        if len(identity) != (6 if self._legacy else 5):
            raise Damaged("a storage is described wrongly")
        _, kind, key, location, numel, *view = identity
        if not isinstance(kind, StorageKind) or type(numel) is not int or numel < 0 or not isinstance(location, str):
            raise Damaged("a storage is described wrongly")
        if not isinstance(key, str):
            raise Damaged("a storage is described wrongly")
        if view not in ([], [None]):
            raise Damaged("its tensors share storages in a way that only very old versions wrote; save it again")
        storage = Storage(key, kind.item_bytes, numel, numel * kind.item_bytes)
        if self.storages.setdefault(key, storage) != storage:
            raise Damaged(f"storage {key[:40]!r} is described in two ways")
        return storage
