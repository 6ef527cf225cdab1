"""A restricted pickle interpreter with only the instructions that arrays need.

A pickle is a program. Python's unpickler can be kept from importing names, but not from
work that grows exponentially with the size of the file (hashes of nested tuples, shared
nested dictionaries). This interpreter calls nothing that a file names, counts its
steps, hashes only strings and numbers, and rejects every other instruction.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import Any

from keras_involution.hub.checkpoints.budget import BoundedFile
from keras_involution.hub.checkpoints.stand_ins import (
    ArrayDraft,
    Callables,
    NumberType,
    StandIn,
    UnknownObject,
    refuse,
)

MAX_STEPS = 120_000
"""Maximum number of instructions. The pickle of RedNet-152 has 40,000."""

_MARK = object()
_ARGUMENTS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
}  # fmt: skip
_IGNORED = {"PROTO", "FRAME"}


def read_pickle(
    file: BoundedFile,
    names: Callables,
    persistent: Callable[[Any], Any] | None = None,
    max_steps: int = MAX_STEPS,
) -> Any:
    """Reads the next pickle of a file.

    Args:
        file: Open file; its position is after the pickle when the function returns.
        names: `Callables`, the names that the pickle may use.
        persistent: Function that resolves references to data outside the pickle.
        max_steps: Integer, maximum number of instructions.

    Returns:
        Plain values, and values made by `names` and `persistent`.

    Raises:
        pickle.UnpicklingError: If the pickle uses anything else.
    """
    machine = _Machine(names, persistent, file.size)
    # `genops` needs only `read` and `readline`, but typeshed requires a full file.
    for step, (opcode, argument, _) in enumerate(pickletools.genops(file)):  # type: ignore[arg-type]
        if step >= max_steps:
            raise refuse(f"it has more than {max_steps} instructions")
        if opcode.name == "STOP":
            break
        machine.run(opcode.name, argument)
    return machine.result()


class _Machine:
    """The interpreter state of a pickle: its stack and memo."""

    def __init__(
        self, names: Callables, persistent: Callable[[Any], Any] | None, size: int
    ) -> None:
        self._names, self._persistent, self._size = names, persistent, size
        self._stack: list[Any] = []
        self._memory: dict[int, Any] = {}
        self._encoded = 0

    def result(self) -> Any:
        if len(self._stack) != 1 or self._stack[0] is _MARK:
            raise refuse("it leaves no single value")
        return self._stack[0]

    def run(self, name: str, argument: Any) -> None:
        method = _METHODS.get(name)
        if method is None:
            raise refuse(f"it has the instruction {name}")
        method(self, argument)

    def _push(self, argument: Any) -> None:
        self._stack.append(argument)

    def _ignore(self, argument: Any) -> None:
        """Skips the protocol version and the frame size."""

    # Constants.
    def _do_none(self, _: Any) -> None:
        self._stack.append(None)

    def _do_newtrue(self, _: Any) -> None:
        self._stack.append(True)

    def _do_newfalse(self, _: Any) -> None:
        self._stack.append(False)

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise refuse("it takes a value that is not there")
        return self._stack.pop()

    def _pop_to_mark(self) -> list[Any]:
        begin = len(self._stack) - 1
        while begin >= 0 and self._stack[begin] is not _MARK:
            begin -= 1
        if begin < 0:
            raise refuse("it takes values that are not there")
        values = self._stack[begin + 1 :]
        del self._stack[begin:]
        return values

    def _top(self, kind: type) -> Any:
        if not self._stack or not isinstance(self._stack[-1], kind):
            raise refuse(f"it adds to something else than a {kind.__name__}")
        return self._stack[-1]

    # Containers.
    def _do_mark(self, _: Any) -> None:
        self._stack.append(_MARK)

    def _do_empty_list(self, _: Any) -> None:
        self._stack.append([])

    def _do_empty_dict(self, _: Any) -> None:
        self._stack.append({})

    def _do_empty_tuple(self, _: Any) -> None:
        self._stack.append(())

    def _do_list(self, _: Any) -> None:
        self._stack.append(self._pop_to_mark())

    def _do_dict(self, _: Any) -> None:
        values = self._pop_to_mark()
        self._stack.append({})
        self._set_items(values)

    def _do_tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._pop_to_mark()))

    def _do_tuple1(self, _: Any) -> None:
        self._stack.append((self._pop(),))

    def _do_tuple2(self, _: Any) -> None:
        second = self._pop()
        self._stack.append((self._pop(), second))

    def _do_tuple3(self, _: Any) -> None:
        third, second = self._pop(), self._pop()
        self._stack.append((self._pop(), second, third))

    def _do_append(self, _: Any) -> None:
        self._append([self._pop()])

    def _do_appends(self, _: Any) -> None:
        self._append(self._pop_to_mark())

    def _append(self, values: list[Any]) -> None:
        if not isinstance(self._top(object), UnknownObject):
            self._top(list).extend(values)

    def _do_setitem(self, _: Any) -> None:
        value = self._pop()
        self._set_items([self._pop(), value])

    def _do_setitems(self, _: Any) -> None:
        self._set_items(self._pop_to_mark())

    def _set_items(self, values: list[Any]) -> None:
        if isinstance(self._top(object), UnknownObject):
            return
        target = self._top(dict)
        if len(values) % 2:
            raise refuse("it has a key without a value")
        for key, value in zip(values[::2], values[1::2]):
            if not isinstance(key, str | int | float | bytes | None):
                raise refuse(f"it has a key of type {type(key).__name__}")
            target[key] = value

    # Stack and memory.
    def _do_pop(self, _: Any) -> None:
        if not self._stack:
            raise refuse("it takes a value that is not there")
        self._stack.pop()

    def _do_pop_mark(self, _: Any) -> None:
        self._pop_to_mark()

    def _do_dup(self, _: Any) -> None:
        self._stack.append(self._top(object))

    def _do_memoize(self, _: Any) -> None:
        self._memory[len(self._memory)] = self._top(object)

    def _do_put(self, place: Any) -> None:
        self._memory[int(place)] = self._top(object)

    _do_binput = _do_long_binput = _do_put

    def _do_get(self, place: Any) -> None:
        if int(place) not in self._memory:
            raise refuse("it asks for a value that it has not stored")
        self._stack.append(self._memory[int(place)])

    _do_binget = _do_long_binget = _do_get

    # Names, calls and references.
    def _do_global(self, both: str) -> None:
        module, _, name = both.partition(" ")
        self._stack.append(self._names.find(module, name))

    def _do_stack_global(self, _: Any) -> None:
        name = self._pop()
        self._stack.append(self._names.find(self._pop(), name))

    def _do_reduce(self, _: Any) -> None:
        arguments, called = self._pop(), self._pop()
        if not isinstance(called, StandIn) or not isinstance(arguments, tuple):
            raise refuse("it calls something that it has not asked for by name")
        if len(arguments) > 16:
            raise refuse(f"it calls something with {len(arguments)} values")
        made = called.make(*arguments)
        if isinstance(made, bytes):
            self._charge(len(made))
        self._stack.append(made)

    def _do_newobj(self, _: Any) -> None:
        arguments, called = self._pop(), self._pop()
        known = isinstance(called, StandIn) and called.make is UnknownObject
        if not known or not isinstance(arguments, tuple):
            raise refuse("it has the instruction NEWOBJ")
        self._stack.append(UnknownObject())

    def _charge(self, size: int) -> None:
        """Limits the text that is encoded, since a file may encode it repeatedly."""
        self._encoded += size
        if self._encoded > self._size:
            raise refuse("it encodes more text than it holds")

    def _do_build(self, _: Any) -> None:
        state = self._pop()
        target = self._top(object)
        if isinstance(target, NumberType | ArrayDraft):
            target.set_state(state)
        elif isinstance(target, UnknownObject):
            target.state = state
        elif isinstance(target, StandIn):
            raise refuse("it sets the state of a name that it asks for")
        elif not isinstance(target, dict):
            raise refuse(f"it sets the state of a {type(target).__name__}")
        # A state dict of PyTorch has `_metadata`, which is not needed.

    def _do_persid(self, pid: Any) -> None:
        self._refer(pid)

    def _do_binpersid(self, _: Any) -> None:
        self._refer(self._pop())

    def _refer(self, pid: Any) -> None:
        if self._persistent is None:
            raise refuse("it refers to data outside of itself")
        self._stack.append(self._persistent(pid))


_METHODS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(_ARGUMENTS, _Machine._push),
    **dict.fromkeys(_IGNORED, _Machine._ignore),
    **{
        name.removeprefix("_do_").upper(): method
        for name, method in vars(_Machine).items()
        if name.startswith("_do_")
    },
}
