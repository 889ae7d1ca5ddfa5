"""The page in a browser: nothing loaded, nothing amiss, the right model picked, for everybody.

Needs Chromium and `pip install "hwnas[browser]"`; CONTRIBUTING says how to get them.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hwnas.report import write_report
from tests.report.conftest import make_run
from tests.report.walker import HOSTILE, change

playwright = pytest.importorskip("playwright.sync_api", reason="pip install 'hwnas[browser]'")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt install chromium"),
]

# Of axe's four grades, those that keep people from using a page.
SERIOUS = {"serious", "critical"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        # Chromium's own sandbox does not start for root in a container.
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


class Visit:
    """A page that was opened, with what it asked of the network and complained of."""

    def __init__(self, browser: Any, folder: Path, **context: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
        self.page = self.context.new_page()
        self.page.set_default_timeout(10_000)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda one: self.requests.append(one.url))
        self.page.on("console", lambda one: self.complaints.append(f"{one.type}: {one.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.address = (folder / "report.html").resolve().as_uri()
        self.page.goto(self.address)
        self.page.wait_for_selector("html[data-ready=true]")

    def picked(self) -> str | None:
        shown = self.page.locator("#picked-name code")
        return shown.inner_text() if shown.is_visible() else None

    def target_ms(self) -> float:
        return float(self.page.locator("#target-typed").input_value())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_run(tmp_path_factory.mktemp("runs") / "demo-run")
    for file in folder.glob("models/*/model.onnx"):
        file.write_bytes(bytes(range(256)) * 9)
    energies = iter(range(1, 100))
    change(
        folder,
        "front.json",
        lambda front: (
            [
                one.update(energy_mj={"value": next(energies) / 4, "kind": "modelled"})
                for one in front["candidates"]
            ]
            and front
        ),
    )
    write_report(folder)
    return folder


@pytest.fixture
def visit(browser: Any, run: Path) -> Iterator[Visit]:
    visit = Visit(browser, run)
    yield visit
    visit.context.close()


def best(run: Path, target_ms: float, device: str = "") -> str | None:
    """The model that ought to be picked, found without the page's script."""
    within = [
        (one["accuracy_top1"]["value"], -figure["p95"], one["id"])
        for one in json.loads((run / "front.json").read_text())["candidates"]
        if (figure := one["latency_ms"].get(device or one["deploy_on"])) and figure["p95"] <= target_ms
    ]
    return max(within)[2] if within else None


def test_it_loads_alone_and_without_complaint(visit: Visit) -> None:
    visit.page.locator("#all-chains summary").click()
    visit.page.locator("#filters summary").click()
    visit.page.select_option("#against", "front-size")
    assert [one for one in visit.requests if not one.startswith(("data:", "blob:"))] == [visit.address]
    assert visit.complaints == []
    assert visit.page.locator(".plot .main-svg").count() >= 8
    assert visit.page.locator("#trouble").is_hidden()


def test_the_slider_picks_the_best_model_at_every_stop(visit: Visit, run: Path) -> None:
    slider = visit.page.locator("#target")
    slider.focus()
    visit.page.keyboard.press("Home")
    seen = []
    for _ in range(int(slider.get_attribute("max") or 0) + 1):
        seen.append(visit.picked())
        assert seen[-1] == best(run, visit.target_ms())
        assert str(seen[-1]) in visit.page.locator("#verdict").inner_text()
        assert slider.get_attribute("aria-valuetext") == visit.page.locator("#verdict").inner_text()
        visit.page.keyboard.press("ArrowRight")
    assert len(set(seen)) > 5


@pytest.mark.parametrize("device", ["cpu", "cpu-ort"])
def test_a_typed_target_picks_the_best_on_the_device_chosen(visit: Visit, run: Path, device: str) -> None:
    visit.page.select_option("#device", device)
    assert visit.target_ms() <= 5.0  # the target of the run
    for target in ("1.0", "1.3", "2.5", "3.7", "4.9", "50"):
        visit.page.fill("#target-typed", target)
        visit.page.keyboard.press("Enter")
        assert visit.picked() == best(run, float(target), device)
    visit.page.fill("#target-typed", "0.01")
    visit.page.keyboard.press("Enter")
    assert visit.picked() is None
    assert "the fastest needs" in visit.page.locator("#verdict").inner_text()


def test_what_is_picked_is_shown_with_its_figures_files_and_layers(visit: Visit, run: Path) -> None:
    first = json.loads((run / "front.json").read_text())["candidates"][0]
    visit.page.locator(f"tr[data-model='{first['id']}'] button").click()
    assert visit.picked() == first["id"]
    facts = visit.page.locator("#picked-facts").inner_text()
    assert f"{first['accuracy_top1']['value']:.2f} % ± 0.60" in facts
    assert "measured on validate" in facts
    link = visit.page.locator("#picked-files a")
    assert link.get_attribute("href") == f"models/{first['id']}/model.onnx"
    assert visit.page.locator("#picked-chain .brick").count() == len(first["bits"]["weights"]) + 1
    with visit.page.expect_download() as download:
        link.click()
    # A browser may leave out the name that the page asks for, where a file comes from a disk.
    assert download.value.suggested_filename in ("model.onnx", f"{first['id']}-model.onnx")


def test_filters_narrow_the_table_the_pick_and_the_plot(visit: Visit, run: Path) -> None:
    visit.page.locator("#filters summary").click()
    visit.page.locator("[data-filter=size][data-end=high]").focus()
    for _ in range(5):
        visit.page.keyboard.press("ArrowLeft")
    sizes = {
        one["id"]: one["size_bytes"] for one in json.loads((run / "front.json").read_text())["candidates"]
    }
    small = set(sorted(sizes, key=sizes.__getitem__)[:5])
    shown = visit.page.locator("#model-table tbody tr:visible").evaluate_all(
        "rows => rows.map(r => r.dataset.model)"
    )
    assert set(shown) == small
    assert visit.picked() in small
    assert visit.page.locator("#count").inner_text() == "5 of 10 models"
    visit.page.locator("#all-models").click()
    assert visit.page.locator("#model-table tbody tr:visible").count() == 10


def test_the_front_can_be_clicked_hovered_zoomed_and_brushed(visit: Visit) -> None:
    points = visit.page.locator("[data-plot=front] .scatterlayer .point").element_handles()
    box = points[0].bounding_box()
    visit.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    hover = visit.page.locator("[data-plot=front] .hoverlayer")
    hover.locator("text").first.wait_for()
    visit.page.mouse.down()
    visit.page.mouse.up()
    assert str(visit.picked()) in str(hover.text_content()) + visit.page.locator("#verdict").inner_text()

    def drag() -> None:
        visit.page.locator("[data-plot=front]").evaluate("plot => plot.scrollIntoView()")
        frame = visit.page.locator("[data-plot=front] .nsewdrag").bounding_box()
        ends = [
            (frame["x"] + frame["width"] * x, frame["y"] + frame["height"] * y)
            for x, y in ((0.3, 0.05), (0.75, 0.5))
        ]
        visit.page.mouse.move(*ends[0])
        visit.page.mouse.down()
        visit.page.mouse.move(*ends[1], steps=5)
        visit.page.mouse.up()

    reach = "document.querySelector('[data-plot=front]')._fullLayout.xaxis.range"
    before = visit.page.evaluate(reach)
    drag()
    zoomed = visit.page.evaluate(reach)
    assert zoomed[1] - zoomed[0] < 0.6 * (before[1] - before[0])
    visit.page.locator("[data-tool=reset]").click()
    visit.page.locator("[data-tool=select]").click()
    drag()
    visit.page.locator("#filters[open]").wait_for()
    assert 0 < visit.page.locator("#model-table tbody tr:visible").count() < 10
    assert visit.complaints == []


def test_the_plot_is_saved_without_a_network(visit: Visit) -> None:
    with visit.page.expect_download() as download:
        visit.page.locator("[data-tool=png]").click()
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")


def test_the_table_sorts_by_its_heads(visit: Visit) -> None:
    head = visit.page.locator("#model-table th", has_text="size")
    column = int(head.evaluate("th => th.cellIndex"))
    for direction in ("ascending", "descending"):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == direction
        sizes = visit.page.locator("#model-table tbody tr").evaluate_all(
            f"rows => rows.map(row => Number(row.cells[{column}].dataset.value))"
        )
        assert sizes == sorted(sizes, reverse=direction == "descending")


def test_everything_is_reached_by_keyboard(visit: Visit) -> None:
    reached = set()
    for _ in range(60):
        visit.page.keyboard.press("Tab")
        reached.add(
            visit.page.evaluate(
                "document.activeElement.id || document.activeElement.dataset.tool"
                " || document.activeElement.tagName + document.activeElement.textContent"
            )
        )
    assert {"device", "target", "target-typed", "against", "zoom", "select", "reset", "png"} <= reached
    first = visit.page.locator("#model-table tbody th button").first
    first.focus()
    visit.page.keyboard.press("Enter")
    assert first.inner_text() == visit.picked()
    assert first.get_attribute("aria-pressed") == "true"
    visit.page.locator("#filters summary").focus()
    visit.page.keyboard.press("Enter")
    assert visit.page.locator("[data-filter=latency][data-end=low]").is_visible()


@pytest.mark.parametrize("width", [400, 320])
def test_a_narrow_screen_needs_no_sideways_scrolling(browser: Any, run: Path, width: int) -> None:
    visit = Visit(browser, run, viewport={"width": width, "height": 800}, has_touch=True, is_mobile=True)
    visit.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    wide = visit.page.evaluate(
        """width => [...document.querySelectorAll("main *")].filter(one => !one.closest(".scroll, .unseen")
        && one.getBoundingClientRect().right > width + 1).map(one => one.outerHTML.slice(0, 80))""",
        width,
    )
    assert wide == []
    smallest = visit.page.evaluate(
        """() => Math.min(...[...document.querySelectorAll("main *")].filter(one => one.textContent.trim())
        .map(one => parseFloat(getComputedStyle(one).fontSize)))"""
    )
    assert smallest >= 11
    visit.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Any, run: Path, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install 'hwnas[browser]'")
    visit = Visit(browser, run, color_scheme=scheme)
    visit.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    found = axe.Axe().run(visit.page).response
    assert len(found["passes"]) > 20
    serious = [
        (one["id"], [node["html"][:120] for node in one["nodes"]][:3])
        for one in found["violations"]
        if one["impact"] in SERIOUS
    ]
    assert serious == []
    visit.context.close()


def test_hostile_names_do_nothing_in_a_browser(browser: Any, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "<img src=x onerror=alert(1)>")
    name = f"{HOSTILE}<img src=x onerror=alert(2)></script>%{{x}}\n\u2028"

    def rename(front: dict[str, Any]) -> None:
        front["devices"] = [name, "other"]
        for model in front["candidates"]:
            figure = next(iter(model["latency_ms"].values()))
            model["latency_ms"] = {name: figure, "other": figure}
            model["deploy_on"] = name
            model["accuracy_top1"]["split"] = name

    change(folder, "front.json", rename)
    change(folder, "environment.json", lambda _: {"command": ["hwnas", name]})
    change(folder, "predictors.json", lambda old: {name: old["cpu"]})
    write_report(folder)
    visit = Visit(browser, folder)
    visit.page.on("dialog", lambda one: visit.complaints.append(f"dialog {one.message}"))
    visit.page.locator("#all-chains summary").click()
    visit.page.select_option("#device", index=1)
    # The layer above the marks takes the mouse.
    visit.page.locator("[data-plot=front] .scatterlayer .point").first.hover(force=True)
    visit.page.locator("[data-plot=front] .hoverlayer text").first.wait_for()
    assert "<script>alert(1)</script>" in str(
        visit.page.locator("[data-plot=front] .hoverlayer").text_content()
    )
    assert visit.page.locator("img, a[href^='http'], a[href^='java']").count() == 0
    assert visit.complaints == []
    assert visit.requests == [visit.address]
    visit.context.close()


def test_without_a_script_the_tables_say_it_all(browser: Any, run: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((run / "report.html").resolve().as_uri())
    assert page.locator("#model-table tbody tr").count() == 10
    assert page.locator("noscript").count() == 1
    context.close()
