"""How kernels are compiled: the one place that knows Numba's options.

Without Numba's runtime (`_nrt`) nothing is reference-counted, which is five times faster here (23 against 4
million readings a second), and a kernel that allocates does not compile. Division by zero follows IEEE 754,
so that no division carries a check. No fast-math, no threads.
"""

import hashlib
import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

from numba import njit, types
from numba.core.event import Listener, install_listener
from numba.extending import intrinsic

from pipeline.compiled.compiling import ATTEMPTS, ChildError, ChildKilledError, WarmUp, current, is_child

LOG = logging.getLogger(__name__)
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
_ONE_CHILD = threading.Lock()
"""Two threads that need one kernel wait for one child."""


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


def digest_of(files: Iterable[Path | str]) -> int:
    """Return 60 bits of a hash over the files, and this one.

    Numba's cache looks only at the file of the function that it caches, and at the values of its closure. A
    kernel that takes code or constants from other files carries their digest there, by mentioning it. Else
    one with the old constants would be loaded after those files have changed, and nothing would tell.
    """
    content = b"".join([Path(file).read_bytes() for file in (__file__, *files)])
    return int(hashlib.sha256(content).hexdigest()[:15], 16)


def kernel(function: Function) -> Function:
    """Have a function compiled into the kernels that call it."""
    return cast("Function", njit(**_INLINED)(function))


class _NotCachedError(Exception):
    """The cache does not have it."""


class _Refusing(Listener):
    """Lets nothing be compiled: at the event that Numba tells of before it begins."""

    def __init__(self, dispatcher: Any) -> None:
        self._dispatcher = dispatcher

    def on_start(self, event: Any) -> None:
        if event.data["dispatcher"] is self._dispatcher:
            raise _NotCachedError

    def on_end(self, event: Any) -> None:
        """Nobody asks."""


def _is_loaded(dispatcher: Any, signature: Any) -> bool:
    """Load a kernel from the cache on disk; False if it is not there, or not whole."""
    try:
        with install_listener("numba:compile", _Refusing(dispatcher)):
            dispatcher.compile(signature)
    except _NotCachedError:
        return False
    except Exception as error:  # noqa: BLE001 - whatever a file raises that a power cut has left half written
        LOG.warning("the cache of compiled kernels is damaged and is made anew: %r", error)
        return False
    return True


def _compile_into_cache(dispatcher: Any, signature: Any) -> None:
    """Compile, and write to the cache; what is in it and cannot be read is dropped."""
    try:
        dispatcher.compile(signature)
    except Exception:  # noqa: BLE001 - see above; what has another cause comes again
        dispatcher._cache.flush()  # noqa: SLF001 - Numba has no other door to its index
        dispatcher.compile(signature)


def compiled(signature: Any, function: Function) -> Function:
    """Load a kernel from the cache on disk (NUMBA_CACHE_DIR, else beside the code), compiled where need be.

    What the cache does not have, a process of its own compiles into it (`pipeline.compiled.compiling`). Where
    that cannot be, for want of a cache that can be written, this process compiles it for itself, and says so.

    Args:
        signature: of the kernel.
        function: the kernel. It is defined in the function of a module that makes this call; the other
            process calls that one, without arguments.

    Raises:
        GivenUpError: the warm-up was given up.
    """
    maker = f"{function.__module__}:{function.__qualname__.partition('.')[0]}"
    warm_up = current()
    try:
        dispatcher: Any = njit(**_CACHED)(function)
    except RuntimeError as error:  # no folder that can be written
        warm_up.compile_here(f"{error}; set NUMBA_CACHE_DIR to a folder that can be written")
        return cast("Function", njit(signature, **_UNCACHED)(function))
    if is_child():
        _compile_into_cache(dispatcher, signature)
    elif problem := _load(dispatcher, signature, maker, warm_up):
        warm_up.compile_here(problem)
        return cast("Function", njit(signature, **_UNCACHED)(function))
    return cast("Function", dispatcher)


def _load(dispatcher: Any, signature: Any, maker: str, warm_up: WarmUp) -> str:
    """Load a kernel, once it is in the cache; returns why that cannot be, or nothing."""
    if _is_loaded(dispatcher, signature):
        return ""
    with _ONE_CHILD:
        problem = ""
        for _ in range(ATTEMPTS):
            if _is_loaded(dispatcher, signature):
                return ""
            try:
                warm_up.compile_apart(maker)
            except ChildKilledError as error:
                LOG.warning("%s: %s", maker, error)
                problem = f"{error}, {ATTEMPTS} times"
            except ChildError as error:
                return str(error)
            else:
                missing = "what another process compiled is not in the cache for this one"
                return "" if _is_loaded(dispatcher, signature) else missing
        return problem


def entry_of(function: Function) -> Function:
    """Return the door of a function of one signature, without the search for the one that fits the arguments.

    The search takes as long as ten readings. Without it nothing looks at the kind or layout of an array, only
    at its number of dimensions and the size of its items: the function must do so itself.
    """
    (overload,) = cast("Any", function).overloads.values()
    return cast("Function", overload.entry_point)
