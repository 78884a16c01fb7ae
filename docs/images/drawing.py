"""Pictures as SVG, readable on light and dark pages."""

from pathlib import Path

HERE = Path(__file__).resolve().parent
STYLE = """text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;font-size:13px;fill:#1f2328}
.title{font-size:16px;font-weight:600}.note{fill:#59636e}.end{text-anchor:end}.middle{text-anchor:middle}.strong{font-weight:600}
.page{fill:#ffffff}.band{fill:#f0f3f6}.grid{stroke:#d8dee4}.axis{stroke:#818b98}.mark{stroke:#cf222e;stroke-dasharray:3 3}
.f0{fill:#0969da}.f1{fill:#bc4c00}.f2{fill:#1a7f37}.letter{fill:#0969da}.frame{fill:none;stroke:#818b98}
@media (prefers-color-scheme:dark){
text{fill:#f0f6fc}.note{fill:#9198a1}
.page{fill:#0d1117}.band{fill:#161b22}.grid{stroke:#2f353d}.axis{stroke:#656c76}.mark{stroke:#ff7b72}
.f0{fill:#58a6ff}.f1{fill:#f0883e}.f2{fill:#3fb950}.letter{fill:#58a6ff}.frame{stroke:#656c76}
}"""


class Drawing:
    def __init__(self, width, height, title, style=""):
        self.width, self.height, self.parts = width, height, []
        self.style = "\n".join(filter(None, [STYLE, style]))
        self.rect(0, 0, width, height, "page")
        self.text(16, 26, title, "title")
        self.title = title

    def rect(self, x, y, width, height, style):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" class="{style}"/>')

    def line(self, x1, y1, x2, y2, style):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{style}"/>')

    def circle(self, x, y, radius, style):
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" class="{style}"/>')

    def text(self, x, y, text, style=""):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" class="{style}">{text}</text>')

    def svg(self):
        size = f'width="{self.width}" height="{self.height}" viewBox="0 0 {self.width} {self.height}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<title>{self.title}</title>\n<style>{self.style}</style>\n'
        return head + "\n".join(self.parts) + "\n</svg>\n"

    def save(self, name):
        (HERE / name).write_text(self.svg())
