"""The graphs of the networks, a cache of Keras for each test, and a server in place of Keras's."""

import http.server
import threading
from pathlib import Path

import pytest

from core.models import registry


@pytest.fixture
def keras_home(tmp_path, monkeypatch) -> Path:
    """An empty cache of Keras's."""
    import keras

    home = tmp_path / "keras"
    (home / "models").mkdir(parents=True)
    monkeypatch.setenv("KERAS_HOME", str(home))
    monkeypatch.setattr(keras.src.backend.config, "_KERAS_DIR", str(home))
    return home


class Server:
    """A folder served on this machine; ``cut`` makes it break off in the middle of every file."""

    def __init__(self, folder: Path):
        self.folder, self.requests, self.cut = folder, [], False

    def put(self, path: str, content: bytes = b"") -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file


@pytest.fixture
def server(tmp_path):
    served = Server(tmp_path / "served")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            served.requests.append(self.path)
            file = served.folder / self.path.lstrip("/")
            if not file.is_file():
                self.send_error(404)
                return
            content = file.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if served.cut else content)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as instance:
        threading.Thread(target=instance.serve_forever, daemon=True).start()
        served.url = f"http://127.0.0.1:{instance.server_port}/"
        yield served
        instance.shutdown()


@pytest.fixture(scope="module")
def graphs():
    """Graphs by model, each built once and one after the other, so that Keras's counters run on through them."""
    built = {}

    def build(name):
        if name not in built:
            built[name] = registry.get_model(name).build_graph()
        return built[name]

    return build
