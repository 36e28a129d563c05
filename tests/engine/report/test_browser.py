from __future__ import annotations

import contextlib
import http.server
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import pytest

from cxrsweep.engine.report.page import write_page

if TYPE_CHECKING:
    from conftest import Swept

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PROGRAM = next(filter(None, map(shutil.which, NAMES)), None)
# The browser's own search for updates, of which no flag frees it.
OWN = re.compile(r"(^|[/.])(google|googleapis|gstatic|gvt1)\.com[:/]")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason=f"none of {', '.join(NAMES)} is installed")


@contextlib.contextmanager
def served(folder: Path) -> Iterator[tuple[int, list[str]]]:
    """A web server and proxy that notes every request; only files of the folder are answered."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))  # type: ignore[arg-type]

        def do_GET(self) -> None:
            self.path = re.sub(r"^http://127[^/]+", "", self.path)  # as a browser asks a proxy
            asked.append(self.path)
            super().do_GET()

        def do_CONNECT(self) -> None:
            asked.append(self.path)
            self.send_error(502)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port, asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def browsed(folder: Path, name: str, *words: str) -> tuple[str, list[str]]:
    """Open a page and return what its console said, and what was asked for."""
    assert PROGRAM
    with served(folder) as (port, asked):
        done = subprocess.run(
            [
                *(PROGRAM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *("--disable-background-networking", "--disable-component-update"),
                *("--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}"),
                *(f"--proxy-server=127.0.0.1:{port}", "--proxy-bypass-list=<-loopback>"),
                *("--window-size=1200,2500", *words, f"http://127.0.0.1:{port}/{name}"),
            ],
            capture_output=True, text=True, errors="replace", timeout=120, check=True,
        )  # fmt: skip
        console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        return "\n".join(console), [path for path in asked if not OWN.search(path)]


@pytest.fixture(scope="module")
def folder(swept: Swept, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    write_page(folder / "report.html", swept.run, has_pictures=True)
    return folder


def test_browser_shows_the_page_and_asks_for_nothing_else(folder: Path) -> None:
    console, asked = browsed(folder, "report.html", f"--screenshot={folder / 'light.png'}")
    assert console == ""
    assert asked == ["/report.html"]
    shown = cv2.imread(str(folder / "light.png"))
    assert shown.shape == (2500, 1200, 3)
    assert list(shown[3, 3]) == [255, 255, 255]
    bars = (shown == (0xA8, 0x63, 0x25)).all(2)
    assert bars.sum() > 2000  # the policy lets the styles through


def test_check_would_notice_scripts_requests_and_broken_policies(folder: Path) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")
    far = '<img src="https://elsewhere.invalid/x.png">'
    end = f'<p style="color:red">x</p>{far}<script>oops()</script></body>'
    (folder / "bad.html").write_text(page.replace("</body>", end), encoding="utf-8")
    console, asked = browsed(folder, "bad.html", f"--screenshot={folder / 'bad.png'}")
    assert console.count("Content Security Policy") == 3
    assert asked == ["/bad.html"]
    open_page = re.sub(r"<meta http-equiv[^>]*>", "", page).replace("</body>", end)
    (folder / "open.html").write_text(open_page, encoding="utf-8")
    console, asked = browsed(folder, "open.html", f"--screenshot={folder / 'open.png'}")
    assert "oops is not defined" in console
    assert "elsewhere.invalid:443" in asked


def test_dark_is_dark(folder: Path) -> None:
    words = ["--blink-settings=preferredColorScheme=0", f"--screenshot={folder / 'dark.png'}"]
    console, _ = browsed(folder, "report.html", *words)
    assert console == ""
    shown = cv2.imread(str(folder / "dark.png"))
    assert shown[3, 3].max() < 40
    assert shown.mean() < 80


def test_it_prints_on_a_few_pages(folder: Path) -> None:
    browsed(folder, "report.html", f"--print-to-pdf={folder / 'report.pdf'}")
    content = (folder / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert 3 <= len(re.findall(rb"/Type /Page\b", content)) <= 15
