"""Runs the verbs in processes that find torch imported: importing it takes five seconds.

Listens on a Unix socket, whose path is its only argument. Each connection sends a command (JSON:
words, cwd, env) with the descriptors of its standard output and error, and gets the exit code. The
command runs in a fork of this process, which has imported libraries and nothing of MedNER.
"""

import gc
import json
import os
import runpy
import signal
import socket
import sys

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # as medner.encoder has it before it imports them

import transformers.models.auto.modeling_auto
import transformers.models.bert.modeling_bert  # noqa: F401


def receive(connection: socket.socket) -> tuple[dict, list[int]]:
    message, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 2)
    while not message.endswith(b"\n"):
        message += connection.recv(1 << 20)
    return json.loads(message), descriptors


def run(command: dict, descriptors: list[int]) -> None:
    """Become the command: ends as a script does, by running off the end, SystemExit or an error."""
    for number, descriptor in enumerate(descriptors, start=1):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(command["cwd"])
    os.environ.clear()
    os.environ.update(command["env"])
    sys.argv = command["words"]
    sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))  # noqa: PTH100, PTH120
    runpy.run_path(sys.argv[0], run_name="__main__")
    sys.exit()


def main() -> None:
    server = socket.socket(socket.AF_UNIX)
    server.bind(sys.argv[1])
    server.listen()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks but the kernel
    print("ready", flush=True)
    while True:
        connection, _ = server.accept()
        if os.fork():
            connection.close()
            continue
        server.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        command, descriptors = receive(connection)
        process = os.fork()
        if not process:
            connection.close()
            run(command, descriptors)
        _, status = os.waitpid(process, 0)
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
        os._exit(0)


if __name__ == "__main__":
    main()
