"""Loads a record again and again, as a service does with its requests.

With marshmallow_dataclass 8.5.5 memory grows: a cache of schemas has the caller's frame in its
key, and with it all local variables of all functions that were running
(https://github.com/lovasoa/marshmallow_dataclass/issues/198).
"""

from dataclasses import dataclass

import marshmallow_dataclass
from marshmallow.schema import BaseSchema
from memprof import mark


@dataclass(frozen=True)
class Sample:
    name: str


def load(number):
    schema = marshmallow_dataclass.class_schema(Sample, base_schema=BaseSchema)()
    return schema.load({"name": f"sample {number}"})


def handle(number):
    body = bytearray(2000)
    return load(number), len(body)


for number in range(300):
    handle(number)
    mark("request")
