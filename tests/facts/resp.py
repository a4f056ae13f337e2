"""RESP over one socket, as little of it as the recorder needs."""

import socket


class Closed(Exception):
    """The peer closed the connection."""


class Refused(Exception):
    """The server answered with an error; its text is the argument."""


class Conversation:
    """One RESP connection."""

    def __init__(self, port, timeout=10.0):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def send(self, *words):
        frame = [b"*%d\r\n" % len(words)]
        for word in words:
            word = word if isinstance(word, bytes) else str(word).encode()
            frame.append(b"$%d\r\n%s\r\n" % (len(word), word))
        self.socket.sendall(b"".join(frame))

    def receive(self):
        line = self._line()
        kind, text = line[:1], line[1:].decode()
        if kind == b"-":
            raise Refused(text)
        if kind == b"+":
            return text
        if kind == b":":
            return int(text)
        if kind == b"$":
            return None if text == "-1" else self._take(int(text) + 2)[:-2].decode(errors="replace")
        if kind == b"*":
            return [self.receive() for _ in range(int(text))]
        raise Closed("not RESP: %r" % line)

    def call(self, *words):
        self.send(*words)
        return self.receive()

    def close(self):
        self.socket.close()

    def _more(self):
        data = self.socket.recv(65536)
        if not data:
            raise Closed()
        self.rest += data

    def _line(self):
        while b"\r\n" not in self.rest:
            self._more()
        line, self.rest = self.rest.split(b"\r\n", 1)
        return line

    def _take(self, count):
        while len(self.rest) < count:
            self._more()
        data, self.rest = self.rest[:count], self.rest[count:]
        return data
