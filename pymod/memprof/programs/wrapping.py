"""Wrapping whatever is a function in a context manager, as the same kind of thing."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

Manager = Callable[[], AbstractContextManager]


def codes_of(thing: object) -> Iterator[types.CodeType]:
    """The code of a function, method, property, partial object, or of all functions of a class;
    through ``functools.wraps``. Nothing for what has no Python code."""
    if isinstance(thing, types.CodeType):
        yield thing
    elif isinstance(thing, (staticmethod, classmethod, types.MethodType)):
        yield from codes_of(thing.__func__)
    elif isinstance(thing, property):
        for function in (thing.fget, thing.fset, thing.fdel):
            if function is not None:
                yield from codes_of(function)
    elif isinstance(thing, functools.cached_property):
        yield from codes_of(thing.func)
    elif isinstance(thing, (functools.partial, functools.partialmethod)):
        yield from codes_of(thing.func)
    elif isinstance(thing, type):
        for value in vars(thing).values():
            if not isinstance(value, type) or value.__qualname__.startswith(thing.__qualname__):
                yield from codes_of(value)
    elif hasattr(thing, "__wrapped__"):
        yield from codes_of(inspect.unwrap(thing))
    elif isinstance(code := getattr(thing, "__code__", None), types.CodeType):
        yield code


def wrap(thing, manager: Manager):
    """``thing`` of the same kind, whose calls run in ``with manager():``. A generator or coroutine
    does so from its first step to its end. What is no function is returned as it is."""
    if isinstance(thing, (staticmethod, classmethod)):
        return type(thing)(wrap(thing.__func__, manager))
    if isinstance(thing, property):
        parts = (f and wrap(f, manager) for f in (thing.fget, thing.fset, thing.fdel))
        return property(*parts, doc=thing.__doc__)
    if isinstance(thing, functools.cached_property):
        wrapped = functools.cached_property(wrap(thing.func, manager))
        wrapped.attrname = thing.attrname
        return wrapped
    if isinstance(thing, type) or not callable(thing):
        return thing
    return functools.wraps(thing)(_maker_of(thing)(thing, manager))


def _maker_of(function):
    if inspect.isasyncgenfunction(function):
        return _wrap_async_generator
    if inspect.iscoroutinefunction(function):
        return _wrap_coroutine
    if inspect.isgeneratorfunction(function):
        return _wrap_generator
    return _wrap_function


def _wrap_function(function, manager: Manager):
    def wrapper(*args, **kwargs):
        with manager():
            return function(*args, **kwargs)

    return wrapper


def _wrap_generator(function, manager: Manager):
    def wrapper(*args, **kwargs):
        with manager():
            return (yield from function(*args, **kwargs))

    # a generator that awaits, made by types.coroutine
    is_awaitable = function.__code__.co_flags & inspect.CO_ITERABLE_COROUTINE
    return types.coroutine(wrapper) if is_awaitable else wrapper


def _wrap_coroutine(function, manager: Manager):
    async def wrapper(*args, **kwargs):
        with manager():
            return await function(*args, **kwargs)

    return wrapper


def _wrap_async_generator(function, manager: Manager):
    async def wrapper(*args, **kwargs):
        with manager():
            generator = function(*args, **kwargs)
            try:
                step = generator.__anext__()
                while True:
                    try:
                        item = await step
                    except StopAsyncIteration:
                        return
                    try:
                        step = generator.asend((yield item))
                    except GeneratorExit:
                        raise
                    except BaseException as error:
                        step = generator.athrow(error)
            finally:
                await generator.aclose()

    return wrapper
