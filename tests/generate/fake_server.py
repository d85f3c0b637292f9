"""A real HTTP server on loopback that speaks the OpenAI protocol, with faults on demand."""

import json
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.tiny_models import tiny_tokenizer

STATUS = {
    "429": 429,
    "500": 500,
    "502": 502,
    "503": 503,
    "401": 401,
    "402": 402,
    "400": 400,
    "404": 404,
}
GARBAGE = {
    "not json": "<html>gateway</html>",
    "cut json": '{"choices": [{"te',
    "no choices": "{}",
    "empty choices": '{"choices": []}',
    "no text": '{"choices": [{"finish_reason": "stop", "text": null, "message": {"content": 3}}]}',
}


class FakeServer:
    """Answers by `reply(turns, seed) -> (text, finished)`; use it in a `with`.

    `faults` are used up, one by one, by requests for text: names of STATUS and GARBAGE, "cut" (the
    connection ends within the answer). `key` is wanted as a bearer token. `asked` are the bodies of
    all requests for text, `answered` those that got one. `first(turns)` gives the first tokens with
    log-probabilities to who asks for them, `refusal(body)` a status and a text, or None; a text
    that begins with `{` or `<` is the whole body of the refusal. `shape(answer)` may change a
    completion; `latency(flight)` are seconds for an answer beside so many others in flight;
    `raw(handler)` writes the whole answer itself.
    """

    def __init__(self, reply, faults=(), models=("models/teacher",), key=None, owner="vllm"):
        self.reply, self.faults, self.models = reply, deque(faults), models
        self.key, self.owner = key, owner
        self.asked, self.answered = [], []
        self.flight = self.most = 0
        self.pause = threading.Event()
        self.lock = threading.Lock()
        self.tokenizer = tiny_tokenizer()
        self.retry_after = "0.01"
        self.usage = True
        self.first = None
        self.refusal = lambda body: None
        self.shape = lambda answer: answer
        self.latency = lambda flight: 0.005
        self.raw = None

    def __enter__(self):
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error):
        self.http.shutdown()
        self.http.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.http.server_address[1]}/v1"

    def complete(self, body):
        """The answer to a request for text."""
        chat = "messages" in body
        if chat:
            turns = [m["content"] for m in body["messages"]]
            size = sum(map(len, turns))
        else:
            turns, size = [self.tokenizer.decode(body["prompt"])], len(body["prompt"])
        text, finished = self.reply(turns, body.get("seed", 0))
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        ids = ids + [self.tokenizer.eos_token_id] if finished else ids
        most = body.get("max_tokens", body.get("max_completion_tokens"))
        if len(ids) > most:
            ids, finished = ids[:most], False
            text = self.tokenizer.decode(ids)
        choice = {"index": 0, "finish_reason": "stop" if finished else "length"}
        choice |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        if body.get("logprobs") and self.first is not None:
            listed = [{"token": token, "logprob": value} for token, value in self.first(turns)]
            choice["logprobs"] = {"content": [{"top_logprobs": listed[: body["top_logprobs"]]}]}
        if body.get("return_token_ids"):
            choice["token_ids"] = ids
        answer = {"id": "x", "object": "text", "model": body["model"], "choices": [choice]}
        if self.usage:
            answer["usage"] = {"prompt_tokens": size, "completion_tokens": len(ids)}
        return self.shape(answer)


def _handler(server):
    return type("Handler", (_Handler,), {"fake": server})


class _Handler(BaseHTTPRequestHandler):
    """Answers for the server `fake`, an attribute of each subclass."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def send(self, status, text, headers=()):
        data = text.encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status, text):
        """An error that repeats what it was sent, as careless servers do."""
        sent = self.headers.get("authorization", "")
        error = {"error": {"message": f"{text}; you sent {sent}", "code": status}}
        headers = [("retry-after", self.fake.retry_after)] if status == 429 else []
        self.send(status, text if text[:1] in "{<" else json.dumps(error), headers)

    def allowed(self):
        if self.fake.key is None or self.headers.get("authorization") == f"Bearer {self.fake.key}":
            return True
        self.refuse(401, "wrong key")
        return False

    def do_GET(self):
        if self.path != "/v1/models":
            self.refuse(404, "no such page")
        elif self.allowed():
            entries = [{"id": m, "owned_by": self.fake.owner, "root": m} for m in self.fake.models]
            self.send(200, json.dumps({"object": "list", "data": entries}))

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not self.allowed():
            return
        with self.fake.lock:
            self.fake.asked.append(body)
            self.fake.flight += 1
            self.fake.most = max(self.fake.most, self.fake.flight)
            fault = self.fake.faults.popleft() if self.fake.faults else None
            seconds = self.fake.latency(self.fake.flight)
        self.fake.pause.wait(seconds)
        self.answer(body, fault)
        with self.fake.lock:
            self.fake.flight -= 1

    def answer(self, body, fault):
        if self.fake.raw is not None:
            self.fake.raw(self)
        elif fault in STATUS:
            self.refuse(STATUS[fault], f"status {fault}")
        elif fault in GARBAGE:
            self.send(200, GARBAGE[fault])
        elif refusal := self.fake.refusal(body):
            self.refuse(*refusal)
        elif body["model"] not in self.fake.models:
            self.refuse(404, f"The model `{body['model']}` does not exist.")
        elif fault == "cut":
            self.cut_off()
        else:
            with self.fake.lock:
                self.fake.answered.append(body)
            self.send(200, json.dumps(self.fake.complete(body)))

    def cut_off(self):
        """The beginning of an answer, then the end of the connection."""
        self.send_response(200)
        self.send_header("content-length", "1000")
        self.end_headers()
        self.wfile.write(b'{"choices": [{"text": "never wh')
        self.close_connection = True
