"""Small fixed workloads for counting instructions; they need nothing but the standard library.

    python bench/workload.py {bare,memprof} NAME...

Each is run twice to warm up the interpreter and the caches, then once more. A call of
sched_yield() before and after that last run marks its begin and end: bench/instructions.py
has callgrind cut its profile there. Every run does exactly the same work.
"""

import asyncio
import copy
import gc
import json
import os
import pprint
import sys
import types
from dataclasses import dataclass
from xml.etree import ElementTree

RECORDS = json.dumps(
    [
        {
            "id": n,
            "name": f"user {n}",
            "tags": ["a", "b", "c"],
            "score": n / 7,
            "on": n % 2 == 0,
            "address": {"zip": str(n), "city": None},
        }
        for n in range(40)
    ]
)


def json_loads():
    for _ in range(20):
        json.loads(RECORDS)


def json_dumps():
    data = json.loads(RECORDS)
    for _ in range(12):
        json.dumps(data)


PRINTABLE = [("string", (1, 2), [3, 4], {5: 6, 7: 8})] * 120


def pprint_pformat():
    pprint.PrettyPrinter().pformat(PRINTABLE)


@dataclass
class Part:
    name: str
    numbers: list
    flag: bool


NESTED = {"list": [1, 2, 3, 43], "tuple": (1, 2, 3), "text": "hello", "inner": {"a": True}}


def deepcopy():
    part = Part("hello", [1, 2, 3], True)
    for _ in range(60):
        copy.deepcopy(NESTED)
        copy.deepcopy(part)


async def fibonacci(n):
    if n <= 1:
        return n
    return await fibonacci(n - 1) + await fibonacci(n - 2)


def coroutines():
    try:
        fibonacci(15).send(None)
    except StopIteration:
        pass


class Tree:
    def __init__(self, left, value, right):
        self.left, self.value, self.right = left, value, right

    def __iter__(self):
        if self.left:
            yield from self.left
        yield self.value
        if self.right:
            yield from self.right


def tree(numbers):
    middle = len(numbers) // 2
    if not numbers:
        return None
    return Tree(tree(numbers[:middle]), numbers[middle], tree(numbers[middle + 1 :]))


def generators():
    for _ in tree(range(1500)):
        pass


class Point:
    __slots__ = ("x", "y", "z")

    def __init__(self, i):
        self.x, self.y, self.z = i * 0.5, i * 0.25, i * 0.125

    def sum(self, other):
        return self.x + other.x, self.y + other.y, self.z + other.z


def points():
    many = [Point(i) for i in range(1500)]
    for one, other in zip(many, many[1:], strict=False):
        one.sum(other)


async def work(depth):
    await asyncio.sleep(0)
    if depth:
        await asyncio.gather(work(depth - 1), work(depth - 1))


def async_tree():
    asyncio.run(work(5))


XML = "<a>" + "".join(f'<b id="{n}"><c>{n}</c><d/></b>' for n in range(250)) + "</a>"


def xml_etree():
    root = ElementTree.fromstring(XML)
    ElementTree.tostring(root)
    for node in root.iter("b"):
        node.get("id"), node.find("c").text


def chain(depth):
    """A function that calls another one, and so on: `depth` frames without recursion."""
    here = types.FunctionType(compile("[i + 1000 for i in range(n)]", "leaf", "eval"), {"n": 600})
    for level in range(depth):
        code = compile("call()", f"level{level}", "eval")
        here = types.FunctionType(code, {"call": here})
    return here


DEEP = chain(100)


def deep():
    DEEP()
    DEEP()


WORKLOADS = {
    function.__name__: function
    for function in (
        json_loads,
        json_dumps,
        pprint_pformat,
        deepcopy,
        coroutines,
        generators,
        points,
        async_tree,
        xml_etree,
        deep,
    )
}


def main():
    mode, *names = sys.argv[1:]
    if mode == "memprof":
        sys.path.insert(0, os.path.join(os.path.dirname(__file__), os.pardir, "pymod"))
        import memprof

        memprof.start()
    for name in names:
        run = WORKLOADS[name]
        run()
        run()
        gc.collect()
        os.sched_yield()
        run()
        os.sched_yield()
    os._exit(0)


if __name__ == "__main__":
    main()
