"""A real Prometheus that scrapes a server. Needs the programs `prometheus` and `promtool`, as Debian packages them.

    cargo build --release -p hardnet-cli --features serve
    python tests/serve/prometheus.py target/release/hardnet

Starts both, sends requests, and reads by Prometheus's own API that the server is up, that counters are what was sent,
and that quantiles come out of histograms. promtool finds nothing wrong with the text of the metrics.
"""

import atexit
import json
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from pathlib import Path

MODEL = "hardnet39ds.fashion_mnist"


def png(side):
    """A gray PNG."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(1 + side) * side)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def status(url, body=None):
    request = urllib.request.Request(url, body, {"content-type": "image/png"} if body else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def start(command, url):
    """Starts a program that ends with this one, and waits until `url` is answered with 200."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    atexit.register(process.kill)
    end = time.monotonic() + 60
    while status(url) != 200:
        assert time.monotonic() < end and process.poll() is None, f"{command[0]} does not start"
        time.sleep(0.1)
    return process


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def main():
    (program,) = sys.argv[1:]
    server, prometheus = (f"127.0.0.1:{free_port()}" for _ in range(2))
    start([program, "-q", "serve", MODEL, "--listen", server], f"http://{server}/v2/health/ready")
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
            f"scrape_configs: [{{job_name: hardnet, static_configs: [{{targets: ['{server}']}}]}}]\n"
        )
        subprocess.run(["promtool", "check", "config", config], check=True, stdout=subprocess.DEVNULL)
        options = [f"--config.file={config}", f"--storage.tsdb.path={folder}/data"]
        start(["prometheus", *options, f"--web.listen-address={prometheus}"], f"http://{prometheus}/-/ready")

        def query(text):
            """The values of a query, by their labels."""
            url = f"http://{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': text})}"
            with urllib.request.urlopen(url, timeout=10) as response:
                answer = json.load(response)
            assert answer["status"] == "success", answer
            return [(one["metric"], float(one["value"][1])) for one in answer["data"]["result"]]

        def wait_for(text, expected):
            """Waits until the only value of a query is `expected`."""
            end = time.monotonic() + 30
            while (found := [value for _, value in query(text)]) != [expected]:
                assert time.monotonic() < end, f"{text}: {found}, expected {expected}"
                time.sleep(0.2)
            print(f"{text}: {expected:g}")

        wait_for("up", 1)
        wait_for("hardnet_ready", 1)
        # A series that begins with all its requests has no increase.
        url = f"http://{server}/classify"
        assert (status(url, png(28)), status(url, b"no image")) == (200, 422)
        wait_for('hardnet_requests_total{endpoint="/classify",status="422"}', 1)
        for _ in range(40):
            assert status(url, png(28)) == 200
        for _ in range(7):
            assert status(url, b"no image") == 422
        assert status(f"http://{server}/nothing") == 404
        wait_for('hardnet_requests_total{endpoint="/classify",status="200"}', 41)
        wait_for('hardnet_requests_total{endpoint="/classify",status="422"}', 8)
        wait_for('hardnet_requests_total{endpoint="other",status="404"}', 1)
        wait_for('hardnet_images_total{outcome="answered"}', 41)
        wait_for('hardnet_images_total{outcome="failed"}', 8)
        wait_for('sum(hardnet_images_total{outcome!~"answered|failed"})', 0)
        wait_for('hardnet_request_seconds_count{endpoint="/classify"}', 49)
        wait_for("sum(hardnet_batch_images_sum)", 41)
        wait_for("hardnet_queue_images", 0)
        for name in ("hardnet_request_seconds", "hardnet_compute_seconds", "hardnet_decode_seconds"):
            kept = '{endpoint="/classify"}' if name == "hardnet_request_seconds" else ""
            (_, median), (_, high) = (
                query(f"histogram_quantile({q}, sum by (le) (rate({name}_bucket{kept}[1m])))")[0] for q in (0.5, 0.99)
            )
            print(f"{name}: 50 % within {1000 * median:.2f} ms, 99 % within {1000 * high:.2f} ms")
            assert 0 < median <= high < 10, (median, high)
        with urllib.request.urlopen(f"http://{server}/metrics", timeout=10) as response:
            text = response.read()
        checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
        print("promtool:", checked.stderr.decode().strip() or "nothing to say")
        assert checked.returncode == 0


if __name__ == "__main__":
    main()
