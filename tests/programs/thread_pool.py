"""Work for a pool of threads: compress, parse, ask a database, talk over queues."""

import concurrent.futures
import hashlib
import json
import queue
import random
import sqlite3
import threading
import xml.etree.ElementTree as ElementTree
import zlib

JOBS = 60
local = threading.local()


def database():
    if not hasattr(local, "database"):
        local.database = sqlite3.connect(":memory:")
        local.database.execute("create table words (word text, length integer)")
    return local.database


def job(number):
    rng = random.Random(number)
    words = ["".join(rng.choices("abcdefgh", k=rng.randint(3, 12))) for _ in range(2000)]
    text = json.dumps({"number": number, "words": words})
    packed = zlib.compress(text.encode())
    again = json.loads(zlib.decompress(packed))
    tree = ElementTree.fromstring("<w>" + "".join(f"<a>{word}</a>" for word in words) + "</w>")
    with database() as connection:
        connection.execute("delete from words")
        connection.executemany("insert into words values (?, ?)", ((w, len(w)) for w in words))
        (total,) = connection.execute("select sum(length) from words").fetchone()
    assert total == sum(len(element.text) for element in tree) == sum(map(len, again["words"]))
    return hashlib.sha256(text.encode()).hexdigest(), total


def relay(source, target):
    while (item := source.get()) is not None:
        target.put((*item, threading.current_thread().name))
    target.put(None)


def main():
    first, second = queue.Queue(), queue.Queue()
    helper = threading.Thread(target=relay, args=(first, second), name="relay")
    helper.start()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for result in pool.map(job, range(JOBS)):
            first.put(result)
    first.put(None)
    while (item := second.get()) is not None:
        print(*item)
    helper.join()


if __name__ == "__main__":
    main()
