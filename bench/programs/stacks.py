"""A program with many call stacks: it imports much, then parses JSON. stacks.py LOOPS"""

import importlib
import json
import sys

MODULES = """argparse ast asyncio calendar concurrent.futures configparser csv ctypes datetime
decimal difflib doctest email.mime.multipart fractions ftplib gettext html.parser http.client
http.cookiejar http.server imaplib inspect ipaddress json logging.config mailbox
multiprocessing.pool optparse pdb pickletools plistlib poplib pprint pydoc random sched shelve
shlex smtplib socketserver sqlite3 ssl statistics subprocess tarfile tempfile timeit
tokenize trace turtle typing unittest.mock urllib.request uuid wsgiref.simple_server
xml.dom.minidom xml.etree.ElementTree xmlrpc.server zipfile""".split()


def main():
    for name in MODULES:
        try:
            importlib.import_module(name)
        except ImportError:
            pass
    text = json.dumps([{"id": n, "name": f"user {n}", "tags": ["a", "b"]} for n in range(1000)])
    for _ in range(int(sys.argv[1])):
        json.loads(text)


if __name__ == "__main__":
    main()
