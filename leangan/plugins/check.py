"""Whether a method or backbone keeps its contract, and the file and line where it does not.

`objection` and `backbone_objection` look at the class when it is loaded; the other checks look at what a hook or a
network returned, see leangan/plugins/trial.py.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from leangan.core.distributed import differing
from leangan.core.project import show_path
from leangan.plugins import registry
from leangan.plugins.backbone import PARTS, Backbone
from leangan.plugins.facts import judges_of
from leangan.plugins.fault import is_plugin_fault
from leangan.plugins.method import Method

HOOKS = [name for name in vars(Method) if not name.startswith("_") and callable(getattr(Method, name))]


class HookError(Exception):
    """A hook broke the contract; the message says where, what it did and what is allowed."""


def objection(cls: type, name: str) -> str | None:
    """Why the class cannot be the method `name`: its base, a hook that does not take what it is called with, unknown
    parts, a wrong revision or wrong `judges`. None: it can.
    """
    if not issubclass(cls, Method):
        return f"{source_location(cls)}: class {cls.__name__} must derive from leangan.plugins.method.Method"
    for called in HOOKS:
        hook, wanted = getattr(cls, called), inspect.signature(getattr(Method, called))
        if not callable(hook):
            return f"{source_location(cls)}: {called} is {hook!r}, must be a function {called}{_arguments(wanted)}"
        given = inspect.signature(hook)
        try:
            given.bind(*wanted.parameters)
        except TypeError:
            stated = f"{source_location(hook)}: {called}{_arguments(given)}"
            return f"{stated} is called as {called}{_arguments(wanted)}, see leangan/plugins/method.py"
    return _unknown_parts(cls, "needs", cls.needs) or _no_revision(cls) or _wrong_judges(cls, name)


def backbone_objection(cls: type) -> str | None:
    """Why the class cannot be a backbone: its base, what it lacks, unknown parts, a wrong revision; None if it can."""
    if not issubclass(cls, Backbone):
        return f"{source_location(cls)}: class {cls.__name__} must derive from leangan.plugins.backbone.Backbone"
    if lacking := sorted(cls.__abstractmethods__):
        return f"{source_location(cls)}: lacks {', '.join(lacking)}, see leangan/plugins/backbone.py"
    return _unknown_parts(cls, "parts", cls.parts) or _no_revision(cls)


def _unknown_parts(cls: type, attribute: str, named: frozenset[str]) -> str | None:
    """The objection to parts that leangan/plugins/backbone.py does not describe."""
    if unknown := sorted(named - PARTS.keys()):
        return f"{source_location(cls)}: {attribute} names {', '.join(unknown)}; parts are {', '.join(PARTS)}"
    return None


def _no_revision(cls: type[Method] | type[Backbone]) -> str | None:
    """The objection to a revision that is no whole number from 0 up."""
    if type(cls.revision) is not int or cls.revision < 0:
        return f"{source_location(cls)}: revision is {cls.revision!r}, must be a whole number, 0 or more"
    return None


def _wrong_judges(cls: type[Method], name: str) -> str | None:
    """The objection to `judges` that name no extractors, or that tables do not find in the file of the method `name`.

    A network that they do not know of would rank the runs that please it.
    """
    where, judges = source_location(cls), cls.judges
    if type(judges) is not tuple or not all(isinstance(each, str) for each in judges):
        return f"{where}: judges is {judges!r}, must be a tuple of names of extractors"
    known = registry.names("extractor")
    if unknown := sorted({*judges} - {*known}):
        return f"{where}: judges names {', '.join(unknown)}; extractors are {', '.join(known)}"
    if (stated := judges_of(name)) != judges:
        return (
            f"{where}: judges is {judges!r}, but its file, read without running it, says {stated!r}; "
            f"write judges = {judges!r} in the body of its class {registry.KINDS['method'][1]}"
        )
    return None


def _arguments(signature: inspect.Signature) -> str:
    """The arguments by name, without types."""
    plain = [each.replace(annotation=each.empty) for each in signature.parameters.values()]
    return str(signature.replace(parameters=plain, return_annotation=signature.empty))


def source_location(thing: type | Callable) -> str:
    """`augment/mine.py, line 12`: where a class or function is defined."""
    thing = inspect.unwrap(thing)
    try:
        file, line = inspect.getsourcefile(thing), inspect.getsourcelines(thing)[1]
    except (OSError, TypeError):
        file = None
    return f"{show_path(file)}, line {line}" if file else f"{thing.__module__}.{thing.__qualname__}"


def fail(method: Method, hook: str, fault: str) -> NoReturn:
    """Raise the HookError of a hook."""
    raise HookError(f"{source_location(getattr(type(method), hook))}: {hook} {fault}")


def check_images(method: Method, hook: str, out: Any, x: Tensor) -> None:
    """Raise HookError unless `out` are images like `x`: shape, dtype and device."""
    if not isinstance(out, Tensor):
        fail(method, hook, f"returned {type(out).__name__}, must return images {list(x.shape)}")
    for what in ("shape", "dtype", "device"):
        given, wanted = getattr(out, what), getattr(x, what)
        if given != wanted:
            given, wanted = (list(each) if what == "shape" else each for each in (given, wanted))
            fail(method, hook, f"returned images of {what} {given}, must keep {wanted}")


def check_output(network: nn.Module, what: str, out: Tensor, shape: tuple[int, ...]) -> None:
    """Raise HookError unless the `what` of G or D have this shape. A wrong shape could broadcast unnoticed."""
    if out.shape != shape:
        where = source_location(type(network))
        raise HookError(f"{where}: forward gave {what} of shape {list(out.shape)}, must be {list(shape)}")


def check_gradients(method: Method, role: str, out: Tensor, x: Tensor) -> None:
    """Raise HookError unless `out` = transform(x, role) can be differentiated by `x` twice."""
    order = "gradient"
    try:
        (grad,) = torch.autograd.grad(out.square().sum(), x, create_graph=True)
        order = "second gradient (R1 needs it)"
        torch.autograd.grad(grad.square().sum(), x)
    except RuntimeError as error:
        if not is_plugin_fault(error):
            raise
        reason = str(error).splitlines()[0]
        fail(method, "transform", f"cuts the {order} from D to the images of role {role!r}: {reason}")


def check_loss(method: Method, hook: str, value: Any) -> None:
    """Raise HookError unless `value` is 0, or a scalar tensor with a gradient to the networks being trained."""
    if isinstance(value, Tensor):
        if value.ndim:
            fail(method, hook, f"returned shape {list(value.shape)}, must return a scalar")
    elif not isinstance(value, int | float):
        fail(method, hook, f"returned {type(value).__name__}, must return a scalar")
    if not getattr(value, "requires_grad", False) and value != 0:
        fail(method, hook, f"returned {float(value):g} without a gradient: it would change nothing")


def check_ranks(method: Method) -> None:
    """Raise HookError, on every rank, where the ranks of a run hold different values of what the method keeps."""
    if unlike := differing(method):
        where, names = source_location(type(method)), ", ".join(unlike)
        raise HookError(
            f"{where}: {names} is not the same on all ranks, each of which sees its part of a batch: average what is "
            "kept of a batch by leangan.core.ranks.mean_over_ranks"
        )


def check_log(method: Method, log: Any) -> None:
    """Raise HookError unless `log` maps names to numbers."""
    if not isinstance(log, dict):
        fail(method, "log", f"returned {type(log).__name__}, must return a dict of numbers")
    for key, value in log.items():
        if not isinstance(value, int | float):
            fail(method, "log", f"returned {key} of type {type(value).__name__}, must be a float")
