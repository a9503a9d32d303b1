"""Chromium without a window, driven over a pipe by its own protocol: what a user does, by real keys, and what goes wrong
meanwhile."""

import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATH = next(filter(None, map(shutil.which, NAMES)), None)

#: The browser reads orders from file 3 and answers on file 4.
LAUNCH = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"

#: Keys that write no character.
CODES = {"Tab": 9, "Enter": 13, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}


class Browser:
    """One page of a browser of its own."""

    def __init__(self, profile):
        #: What the page complained of, and the addresses that it asked for.
        self.complaints, self.requests = [], []
        self._buffer, self._n_orders, self._page = b"", 0, None
        orders, answers = os.pipe(), os.pipe()
        # Out of the way of 3 and 4.
        theirs = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (orders[0], answers[1])]
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        options += [f"--user-data-dir={profile}", "--remote-debugging-pipe", "--window-size=1200,1000", "about:blank"]
        command = [sys.executable, "-c", LAUNCH, *map(str, theirs), PATH, *options]
        self._process = subprocess.Popen(command, pass_fds=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for fd in (*theirs, orders[0], answers[1]):
            os.close(fd)
        self._out, self._in = orders[1], answers[0]
        target = self.order("Target.createTarget", url="about:blank")["targetId"]
        self._page = self.order("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.order(f"{domain}.enable")

    def close(self):
        self._process.kill()
        self._process.wait()
        os.close(self._out)
        os.close(self._in)

    def order(self, method, **params):
        """Gives an order and waits for its answer."""
        self._n_orders += 1
        message = {"id": self._n_orders, "method": method, "params": params}
        if self._page is not None:
            message["sessionId"] = self._page
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._n_orders:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def _next(self):
        """The next answer or event; events are looked through on the way."""
        deadline = time.monotonic() + 120
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(deadline - time.monotonic(), 0))
            part = os.read(self._in, 1 << 16) if ready else b""
            assert part, "the browser has not answered for two minutes, or has ended"
            self._buffer += part
        line, self._buffer = self._buffer.split(b"\0", 1)
        message = json.loads(line)
        self._note(message.get("method"), message.get("params"))
        return message

    def _note(self, event, params):
        if event == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", details["text"]))
        elif event == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(str(params["args"]))
        elif event == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"]["text"])
        elif event == "Page.javascriptDialogOpening":
            self.complaints.append(f"a dialog: {params['message']}")
        elif event == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    def open(self, path):
        """Opens a file and waits until it is loaded, and its program has run."""
        self.complaints, self.requests = [], []
        self.order("Page.navigate", url=path.resolve().as_uri())
        while self._next().get("method") != "Page.loadEventFired":
            pass
        self.settle()

    def settle(self):
        """Waits until what was ordered is on the screen."""
        self.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))")

    def value(self, script):
        """What a piece of JavaScript answers."""
        found = self.order("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key, shift=False):
        """Presses a key and lets it go."""
        code = CODES.get(key, ord(key[0].upper()))
        text = {"Enter": "\r", "Tab": ""}.get(key, key if len(key) == 1 else "")
        same = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        self.order("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **same)
        self.order("Input.dispatchKeyEvent", type="keyUp", **same)
        self.settle()

    def drag(self, start, end):
        """Drags the mouse from a place on the screen to another."""
        steps = [("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)]
        for kind, (x, y) in steps:
            self.order("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)
        self.settle()
