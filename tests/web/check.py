"""The page of crates/hardnet-web in headless Chromium, against the command line.

    tools/web/build.sh && cargo build --release -p hardnet-cli
    cargo run --release -p hardnet-engine --example synthetic_logits -- /tmp/weights
    python -m venv venv && venv/bin/pip install playwright==1.56.0
    venv/bin/python tests/web/check.py target/web target/release/hardnet /tmp/weights [PICTURES]

Needs Chromium at /usr/bin/chromium. Probabilities must be those of `hardnet predict` to a tenth of a percent. PICTURES is
a folder for screenshots.
"""

import functools
import http.server
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import threading
import time

from playwright.sync_api import expect, sync_playwright

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEMO = ROOT / "weights/demo/fashion_mnist"


class Quiet(http.server.SimpleHTTPRequestHandler):
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".wasm": "application/wasm"}
    headers_of_threads = False

    def end_headers(self):
        if self.headers_of_threads:
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *_):
        pass


def main():
    site, hardnet, weights, *pictures = sys.argv[1:]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        folder = pathlib.Path(scratch)
        with tarfile.open(DEMO / "sample.tar") as archive:
            members = sorted(member.name for member in archive if member.name.endswith(".png"))[:4]
            images = []
            for name in members:
                images.append(folder / pathlib.Path(name).name)
                images[-1].write_bytes(archive.extractfile(name).read())
        command = [hardnet, "predict", "--weights", DEMO / "hardnet39ds.safetensors", "--json", *images]
        predicted = [json.loads(line) for line in subprocess.check_output(command, text=True).splitlines()]
        (folder / "broken.png").write_bytes(images[0].read_bytes()[:100])
        (folder / "wrong.pth").write_bytes(b"not a checkpoint")

        arguments = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        requested, said = [], []
        page.on("request", lambda request: requested.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(address)
        choose = lambda name, path: page.get_by_label(name).set_input_files(path)
        status, error, rows = page.get_by_role("status"), page.get_by_role("alert"), page.locator("#classes button")

        # An image before any weights is for the demonstration's.
        for image, line in zip(images, predicted):
            choose("Choose an image", image)
            expect(status).to_contain_text(f"{image.name}, 28x28 pixels", timeout=60_000)
            for row, top in zip(rows.all(), line["top"]):
                name, share = row.inner_text().split("\n") if "\n" in row.inner_text() else row.inner_text().rsplit("  ", 1)
                assert name.strip() == top["name"], (row.inner_text(), top)
                assert abs(float(share.strip().removesuffix(" %")) - 100 * top["probability"]) < 0.11, (share, top)
        print(page.locator("#network").inner_text())
        print(status.inner_text())

        before = page.locator("#picture").get_attribute("src")
        page.get_by_label("Show where the class is seen").check()
        expect(page.locator("#picture")).not_to_have_attribute("src", before)
        expect(page.locator("#picture")).to_have_attribute("alt", f"{images[-1].name} with the activation map of {predicted[-1]['top'][0]['name']}")
        if pictures:
            page.screenshot(path=f"{pictures[0]}/page-1280.png")

        # By keyboard alone: the second class's map.
        rows.nth(1).focus()
        page.keyboard.press("Enter")
        expect(rows.nth(1)).to_have_attribute("aria-pressed", "true")
        expect(rows.nth(0)).to_have_attribute("aria-pressed", "false")

        choose("Choose an image", folder / "broken.png")
        expect(error).to_contain_text("truncated")
        choose("Choose a file", folder / "wrong.pth")
        expect(error).not_to_be_empty()
        print("wrong weights:", error.inner_text())
        page.get_by_role("button", name="Use the demonstration").click()
        expect(status).to_contain_text("28x28 pixels", timeout=60_000)
        expect(page.locator("#error")).to_be_empty()

        # A file that is dropped.
        handle = page.evaluate_handle(
            """([name, bytes]) => {
                const files = new DataTransfer();
                files.items.add(new File([new Uint8Array(bytes)], name));
                return files;
            }""",
            ["dropped.png", list(images[0].read_bytes())],
        )
        page.dispatch_event("#drop", "drop", {"dataTransfer": handle})
        expect(status).to_contain_text("dropped.png", timeout=60_000)

        # An image that is pasted.
        page.evaluate(
            """([name, bytes]) => {
                const files = new DataTransfer();
                files.items.add(new File([new Uint8Array(bytes)], name));
                dispatchEvent(new ClipboardEvent("paste", { clipboardData: files }));
            }""",
            ["pasted.png", list(images[0].read_bytes())],
        )
        expect(status).to_contain_text("pasted.png, 28x28", timeout=60_000)

        # The camera's picture, by keyboard.
        camera = page.get_by_role("button", name="Use the camera")
        camera.focus()
        page.keyboard.press("Enter")
        expect(page.get_by_label("The camera's view")).to_be_visible()
        page.wait_for_function("document.querySelector('#view').videoWidth > 0")
        page.get_by_role("button", name="Take the picture").click()
        expect(status).to_contain_text("camera.png", timeout=60_000)
        expect(page.locator("#view")).to_be_hidden()

        # A photograph that lies on its side: 40 columns, 30 rows, turned by a quarter.
        (folder / "turned.jpg").write_bytes((ROOT / "tests/web/turned.jpg").read_bytes())
        choose("Choose an image", folder / "turned.jpg")
        expect(status).to_contain_text("turned.jpg, 40x30 pixels", timeout=60_000)
        page.get_by_label("Turn upright by EXIF").check()
        expect(status).to_contain_text("turned.jpg, 30x40 pixels", timeout=60_000)
        page.get_by_label("Turn upright by EXIF").uncheck()

        # Names for those who do not see the page.
        for role, name in (
            ("heading", "Weights"), ("heading", "Image"), ("heading", "Classes"), ("button", "Use the demonstration"),
            ("checkbox", "Show where the class is seen"), ("checkbox", "Turn upright by EXIF"),
            ("button", "Use the camera"), ("region", "Classes"), ("img", "turned.jpg"),
        ):
            expect(page.get_by_role(role, name=name, exact=role != "img")).to_be_visible()
        for control in page.locator("button, input, select, img, video").all():
            named = control.evaluate("e => (e.ariaLabel || e.alt || e.innerText || e.labels?.[0]?.innerText || '').trim()")
            assert named or not control.is_visible(), control.evaluate("e => e.outerHTML")
        choose("Choose an image", images[0])

        for network in ("hardnet39ds", "hardnet68ds", "hardnet68", "hardnet85"):
            path = pathlib.Path(weights, f"{network}.safetensors")
            begun = time.monotonic()
            choose("Choose a file", path)
            expect(page.locator("#network")).to_contain_text(f"{network}, 1000 classes", timeout=120_000)
            expect(status).to_contain_text("28x28 pixels", timeout=120_000)
            took = time.monotonic() - begun
            print(f"{network}: {path.stat().st_size >> 20} MiB opened and computed in {took:.1f} s; {status.inner_text()}")

        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, "the page is wider than a telephone"
        if pictures:
            page.screenshot(path=f"{pictures[0]}/page-390.png", full_page=True)

        # On two threads, where the page may share memory: the same probabilities.
        shares = lambda: [row.inner_text() for row in rows.all()]
        alone = shares()
        Quiet.headers_of_threads = True
        page.close()
        page = browser.new_page()
        page.on("request", lambda request: requested.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(address)
        status, error, rows = page.get_by_role("status"), page.get_by_role("alert"), page.locator("#classes button")
        choose("Choose a file", pathlib.Path(weights, "hardnet85.safetensors"))
        expect(page.locator("#network")).to_contain_text("threads", timeout=120_000)
        choose("Choose an image", images[0])
        expect(status).to_contain_text("28x28 pixels", timeout=120_000)
        print(page.locator("#network").inner_text(), status.inner_text())
        assert shares() == alone, (shares(), alone)
        # Another network takes the threads over.
        page.get_by_role("button", name="Use the demonstration").click()
        expect(page.locator("#network")).to_contain_text("10 classes", timeout=60_000)
        expect(page.locator("#network")).to_contain_text("threads")
        choose("Choose an image", folder / "broken.png")
        expect(error).to_contain_text("truncated")

        assert all(url.startswith((address, "blob:")) for url in requested), requested
        said = [text for text in said if text]
        assert not said, said
        browser.close()
    print("the page works")


if __name__ == "__main__":
    main()
