"""The page of `hardnet serve` in headless Chromium, against `hardnet predict`.

    cargo build -p hardnet-cli --features serve
    python -m venv venv && venv/bin/pip install playwright==1.56.0
    venv/bin/python tests/web/server.py target/debug/hardnet [PICTURES]

Needs Chromium at /usr/bin/chromium. The server has two models and a key, which the page takes from its address.
"""

import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile

from playwright.sync_api import expect, sync_playwright

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEMO = ROOT / "weights/demo/fashion_mnist"
KEY = "a key"


def main():
    hardnet, *pictures = sys.argv[1:]
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        folder = pathlib.Path(scratch)
        with tarfile.open(DEMO / "sample.tar") as archive:
            name = min(member.name for member in archive if member.name.endswith(".png"))
            image = folder / pathlib.Path(name).name
            image.write_bytes(archive.extractfile(name).read())
        (folder / "broken.png").write_bytes(image.read_bytes()[:100])
        (folder / "key").write_text(KEY)
        weights = DEMO / "hardnet39ds.safetensors"
        quantized = folder / "small.safetensors"
        run = {"check": True, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        subprocess.run([hardnet, "quantize", weights, quantized], **run)
        models = {"clothing": weights, "small": quantized}
        expected = {}
        for model, file in models.items():
            line = subprocess.run([hardnet, "predict", "--weights", file, "--json", image], **run).stdout
            expected[model] = json.loads(line)["top"]

        command = [hardnet, "serve", *(f"{model}={file}" for model, file in models.items())]
        command += ["--listen", "127.0.0.1:0", "--api-key-file", folder / "key"]
        server = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            address = next(part for line in server.stdout for part in line.split() if part.startswith("http://")).rstrip("/,.;")
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            requested = []
            page.on("request", lambda request: requested.append(request.url))
            page.goto(address)
            expect(page.get_by_role("alert")).to_contain_text("key is missing", timeout=60_000)
            page.goto("about:blank")
            page.goto(f"{address}/#key={KEY}")
            network, rows, status = page.locator("#network"), page.locator("#classes button"), page.get_by_role("status")
            expect(network).to_have_text("clothing: 10 classes, 64x64 pixels", timeout=60_000)
            expect(page.locator("#files")).to_be_hidden()
            page.get_by_label("Choose an image").set_input_files(image)
            for model in models:
                page.get_by_label("Model").select_option(model)
                expect(network).to_contain_text(f"{model}: 10 classes")
                expect(status).to_contain_text(f"{image.name}, 28x28 pixels", timeout=60_000)
                shares = "".join(row.inner_text() for row in rows.all())
                for top in expected[model]:
                    assert top["name"] in shares and f"{100 * top['probability']:.1f} %" in shares, (shares, top)
            before = page.locator("#picture").get_attribute("src")
            page.get_by_label("Show where the class is seen").check()
            expect(page.locator("#picture")).not_to_have_attribute("src", before)
            expect(page.locator("#picture")).to_have_js_property("naturalWidth", 28)
            if pictures:
                page.screenshot(path=f"{pictures[0]}/server-1280.png")
            page.get_by_label("Choose an image").set_input_files(folder / "broken.png")
            expect(page.get_by_role("alert")).to_contain_text("truncated")
            assert all(url.startswith((address, "blob:", "about:")) for url in requested), requested
            browser.close()
        finally:
            server.terminate()
            server.wait()
    print("the server's page works")


if __name__ == "__main__":
    main()
