"""How kernels are compiled: the one place that knows Numba's options.

Without Numba's runtime (`_nrt`) nothing is reference-counted, which is five times faster here (23 against 4
million readings a second), and a kernel that allocates does not compile. Division by zero follows IEEE 754,
so that no division carries a check. No fast-math, no threads.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar, cast

from numba import njit, types
from numba.core.event import Listener, install_listener
from numba.extending import intrinsic

Slots: TypeAlias = Any
"""An array; Numba knows its type, mypy need not."""

Function = TypeVar("Function", bound=Callable[..., Any])

_INLINED: dict[str, Any] = {
    "forceinline": True,
    "error_model": "numpy",
    "_nrt": False,
    # Only kernels call kernels: without the doors for Python and C they compile much sooner.
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
_UNCACHED: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}
_CACHED: dict[str, Any] = {**_UNCACHED, "cache": True}


def _pointer_to(_typing: Any, array: Any) -> Any:
    """Return the address of an array's first element, to be indexed as the array.

    An index of an array may be negative and count from its end; asking costs several instructions at each
    access. An index of a pointer is what it is, so that it must be right.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, arguments[0]).data

    pointer: Any = types.CPointer
    return pointer(array.dtype)(array), generate


pointer_to = cast("Callable[[Slots], Slots]", intrinsic(_pointer_to))


def _as_floats(_typing: Any, slots: Any) -> Any:
    """Return a pointer to the same 8-byte slots, seen as float64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

    pointer: Any = types.CPointer
    return pointer(types.float64)(slots), generate


as_floats = cast("Callable[[Slots], Slots]", intrinsic(_as_floats))


def kernel(function: Function) -> Function:
    """Have a function compiled into the kernels that call it."""
    return cast("Function", njit(**_INLINED)(function))


@contextmanager
def telling(compiling: Callable[[], None]) -> Iterator[None]:
    """Call `compiling`, in the thread that compiles, whenever a function was not in the cache."""

    class Compiling(Listener):
        def on_start(self, event: Any) -> None:  # noqa: ARG002 - which one does not matter
            compiling()

        def on_end(self, event: Any) -> None:
            """Nobody asks."""

    with install_listener("numba:compile", Compiling()):
        yield


def compiled(signature: Any, function: Function) -> Function:
    """Compile a function at once, or load it from the cache on disk (NUMBA_CACHE_DIR, else beside the code).

    Where neither can be written it is compiled anew by every process: slower to start, no reason to fail.
    """
    try:
        return cast("Function", njit(signature, **_CACHED)(function))
    except RuntimeError:
        return cast("Function", njit(signature, **_UNCACHED)(function))


def entry_of(function: Function) -> Function:
    """Return the door of a function of one signature, without the search for the one that fits the arguments.

    The search takes as long as ten readings. Without it nothing looks at the kind or layout of an array, only
    at its number of dimensions and the size of its items: the function must do so itself.
    """
    (overload,) = cast("Any", function).overloads.values()
    return cast("Function", overload.entry_point)
