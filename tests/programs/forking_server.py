"""A server that forks for every request, and its clients, in one program."""

import json
import os
import socket
import socketserver
import threading

MAIN = os.getpid()


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        request = json.loads(self.rfile.readline())
        numbers = [n * n for n in range(request["count"])]
        answer = {"sum": sum(numbers), "forked": os.getpid() != MAIN}
        self.wfile.write(json.dumps(answer).encode() + b"\n")


class Server(socketserver.ForkingTCPServer):
    block_on_close = True


def ask(address, count):
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(json.dumps({"count": count}).encode() + b"\n")
        return connection.makefile().readline().strip()


def main():
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        for count in range(0, 20_000, 2_000):
            print(count, ask(server.server_address, count))
        server.shutdown()
        thread.join()


if __name__ == "__main__":
    main()
