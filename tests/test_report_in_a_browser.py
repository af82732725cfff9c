"""The page in a real browser: it sorts, filters and walks the errors, and complains of nothing."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from compared import write_sweep
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select
from test_report_page import hostile, page

from medner.comparison import compare
from medner.documents import Document, Entity
from medner.evaluation_files import find_evaluations
from medner.predictions import Prediction, Span
from medner.report.overview import write_overview
from medner.trained_runs import trained_runs

pytestmark = pytest.mark.slow
TEXT = "Gout with severe chest pain and oedema of both legs."


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()


def mention(words: str, type_: str, *more: str) -> Entity:
    fragments = [(TEXT.index(w), TEXT.index(w) + len(w)) for w in (words, *more)]
    return Entity(tuple(fragments), type_)


@pytest.fixture(scope="module")
def opened(browser: webdriver.Chrome, tmp_path_factory: pytest.TempPathFactory) -> webdriver.Chrome:
    """A page of three documents: all right, three errors, a hostile text."""
    entities = (
        mention("Gout", "Disease"),
        mention("severe chest pain", "Sign"),
        mention("chest", "Structure"),
        mention("oedema", "Sign", "legs"),
    )
    right = Document("right", TEXT, entities[:1])
    wrong = Document("wrong", TEXT, entities)
    documents, predictions = hostile()
    predictions += [
        Prediction("right", (Span(0, 4, "Disease", 0.9),)),
        Prediction("wrong", (Span(0, 4, "Sign", 0.8), Span(17, 27, "Sign", 0.6))),
    ]
    folder = tmp_path_factory.mktemp("page")
    page(folder, [right, wrong, *documents], predictions)
    browser.get(f"file://{folder}/report.html")
    return browser


@pytest.fixture(scope="module")
def page_url(opened: webdriver.Chrome) -> str:
    return opened.current_url.partition("#")[0]


@pytest.fixture(autouse=True)
def quiet(opened: webdriver.Chrome, page_url: str) -> Iterator[None]:
    opened.get("about:blank")
    opened.get(page_url)
    yield
    assert opened.get_log("browser") == []


def listed(opened: webdriver.Chrome) -> list[str]:
    return [
        item.text.split("\n")[0] for item in opened.find_elements(By.CSS_SELECTOR, "#documents li")
    ]


def press(opened: webdriver.Chrome, key: str) -> str:
    opened.find_element(By.TAG_NAME, "body").send_keys(key)
    return opened.find_element(By.ID, "mistake").text


def test_a_table_sorts_by_a_click(opened: webdriver.Chrome) -> None:
    def column() -> list[int]:
        cells = opened.find_elements(By.CSS_SELECTOR, "#types tbody tr td:nth-child(2)")
        return [int(cell.text) for cell in cells]

    heading = opened.find_element(By.XPATH, "//section[@id='types']//th[text()='gold']")
    heading.click()
    assert column() == sorted(column(), reverse=True) and len(set(column())) > 1
    heading.click()
    assert column() == sorted(column())
    heading.send_keys(Keys.ENTER)
    assert column() == sorted(column(), reverse=True)


def test_errors_are_walked_by_keyboard(opened: webdriver.Chrome) -> None:
    walked = [press(opened, "n") for _ in range(8)]
    assert walked[:6] == [
        "gold Disease “Gout”: wrong type",
        "predicted Sign “Gout”: wrong type, confidence 0.8",
        "gold Sign “severe chest pain”: shorter",
        "gold Structure “chest”: wrong type and boundary",
        "predicted Sign “chest pain”: shorter, confidence 0.6",
        "gold Sign “oedema … legs”: missed",
    ]
    # the next document's; in JavaScript its first character has a length of two
    assert walked[6] == "predicted <Disease> “𝛽 </scrip”: spurious, confidence 0.5"
    assert walked[7] == press(opened, "n") == "gold <Disease> “gout”: missed"
    assert [piece.text for piece in opened.find_elements(By.CSS_SELECTOR, ".chosen")] == ["gout"]
    assert [press(opened, "p") for _ in range(8)] == [*walked[6::-1], walked[0]]
    assert opened.current_url.endswith("#document=wrong&span=0")
    (chosen,) = opened.find_elements(By.CSS_SELECTOR, "#text .chosen")
    assert chosen.text == "Gout"


def test_every_error_has_a_link(opened: webdriver.Chrome) -> None:
    opened.find_element(By.XPATH, "//ol[@id='documents']/li[2]").click()
    links = opened.find_elements(By.CSS_SELECTOR, "#mistakes a")
    assert len(links) == 6
    links[5].click()
    assert opened.find_element(By.ID, "mistake").text == "gold Sign “oedema … legs”: missed"
    words = [piece.text for piece in opened.find_elements(By.CSS_SELECTOR, "#text .chosen")]
    assert words == ["oedema", "legs"]
    # it opens whatever is filtered when it is followed
    url = opened.current_url
    opened.find_element(By.NAME, "search").send_keys("alert(1)")
    opened.execute_script("location.hash = arguments[0]", url.partition("#")[2])
    assert opened.find_element(By.CSS_SELECTOR, "#document h3").text == "wrong"
    assert opened.find_element(By.ID, "mistake").text == "gold Sign “oedema … legs”: missed"


def test_filters_and_search(opened: webdriver.Chrome) -> None:
    assert listed(opened) == ["right", "wrong", "</script>1"]
    Select(opened.find_element(By.NAME, "kind")).select_by_visible_text("wrong type")
    assert listed(opened) == ["wrong"]
    Select(opened.find_element(By.NAME, "kind")).select_by_visible_text("any, or none")
    opened.find_element(By.NAME, "search").send_keys("alert(1)")
    assert listed(opened) == ["</script>1"]
    assert opened.find_element(By.ID, "found").text == "1 of 3 documents"
    opened.find_element(By.NAME, "search").clear()
    opened.find_element(By.NAME, "search").send_keys("severe chest")
    assert listed(opened) == ["right", "wrong"]


def test_confidence_filters_from_both_sides(opened: webdriver.Chrome) -> None:
    least, most = (opened.find_element(By.NAME, name) for name in ("least", "most"))
    least.clear()
    least.send_keys("0.85")
    assert listed(opened) == ["right"]
    least.clear()
    least.send_keys("0")
    most.clear()
    most.send_keys("0.7")
    assert listed(opened) == ["wrong", "</script>1"]
    opened.find_element(By.XPATH, "//ol[@id='documents']/li[1]").click()
    assert press(opened, "n") == "predicted Sign “chest pain”: shorter, confidence 0.6"


def test_a_kind_of_error_leads_to_its_documents(opened: webdriver.Chrome) -> None:
    opened.find_element(By.CSS_SELECTOR, "#errors [data-kind='missed']").click()
    assert listed(opened) == ["wrong", "</script>1"]
    assert opened.find_element(By.ID, "mistake").text == "gold Sign “oedema … legs”: missed"


def test_a_frequent_mistake_leads_to_where_it_is(opened: webdriver.Chrome) -> None:
    """To no other type, side or mention of the same words."""

    def follow(link: str) -> None:
        opened.find_element(By.CSS_SELECTOR, link).send_keys(Keys.ENTER)

    follow("[data-mention='gout'][data-type='Disease']")
    assert listed(opened) == ["wrong"]
    assert opened.find_element(By.ID, "found").text == "“gout”: 1 of 3 documents"
    said = "gold Disease “Gout”: wrong type"
    assert opened.find_element(By.ID, "mistake").text == said
    assert opened.find_element(By.ID, "mistakes").text == said
    assert press(opened, "n") == said
    follow("[data-mention='oedema legs']")
    assert opened.find_element(By.ID, "mistakes").text == "gold Sign “oedema … legs”: missed"
    # until a filter is used
    Select(opened.find_element(By.NAME, "type")).select_by_visible_text("all")
    assert len(opened.find_elements(By.CSS_SELECTOR, "#mistakes a")) == 6


def test_keys_work_behind_whatever_was_clicked(opened: webdriver.Chrome) -> None:
    def key(name: str) -> str:
        ActionChains(opened).send_keys(name).perform()  # to what has the focus
        return opened.find_element(By.ID, "mistake").text

    kind = opened.find_element(By.NAME, "kind")
    kind.send_keys("mis")  # as one types in a list
    assert Select(kind).first_selected_option.text == "missed"
    assert key("n") == "gold Sign “oedema … legs”: missed"
    assert Select(kind).first_selected_option.text == "missed"
    opened.find_element(By.ID, "show-types").click()
    assert key("n") == "gold <Disease> “gout”: missed"
    search = opened.find_element(By.NAME, "search")
    search.click()
    assert key("n") == "" and search.get_attribute("value") == "n"


def test_types_are_shown_in_the_text(opened: webdriver.Chrome) -> None:
    opened.find_element(By.XPATH, "//ol[@id='documents']/li[2]").click()
    labels = "return [...document.querySelectorAll('#text [data-type]')].map(e => e.dataset.type)"
    assert sorted(opened.execute_script(labels)) == [
        "Disease", "Sign", "Sign", "Sign", "Sign", "Structure",
    ]  # fmt: skip
    shown = (
        "return getComputedStyle(document.querySelector('#text [data-type]'), '::before').content"
    )
    assert opened.execute_script(shown) == "none"
    opened.find_element(By.ID, "show-types").click()
    assert opened.execute_script(shown) != "none"


def test_a_link_opens_an_error(opened: webdriver.Chrome, page_url: str) -> None:
    opened.get("about:blank")
    opened.get(f"{page_url}#document=wrong&span=0")
    assert opened.find_element(By.CSS_SELECTOR, "#document h3").text == "wrong"
    assert "wrong type" in opened.find_element(By.ID, "mistake").text


def test_the_pieces_of_a_discontinuous_mention_are_one_span(opened: webdriver.Chrome) -> None:
    opened.find_element(By.XPATH, "//ol[@id='documents']/li[2]").click()
    pieces = {
        line.get_attribute("data-span"): opened.find_elements(
            By.CSS_SELECTOR, f"#text [data-span='{line.get_attribute('data-span')}']"
        )
        for line in opened.find_elements(By.CSS_SELECTOR, "#text .gold")
    }
    words = sorted("".join(piece.text for piece in found) for found in pieces.values())
    assert words == ["Gout", "chest", "oedemalegs", "severe chest pain"]
    # overlapping ones have lanes of their own
    lanes = opened.execute_script(
        "return [...document.querySelectorAll('#text .gold')].map(e => e.style.cssText)"
    )
    assert {"--lane: 0;", "--lane: 1;"} <= set(lanes)


@pytest.mark.parametrize(
    ("width", "dark"), [(1200, False), (1200, True), (390, False), (390, True)]
)
def test_no_page_is_wider_than_its_screen(opened: webdriver.Chrome, width: int, dark: bool) -> None:
    opened.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    assert opened.execute_script("return document.documentElement.scrollWidth") <= width
    back = opened.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (back == "rgb(255, 255, 255)") != dark


def test_the_page_of_many_runs(opened: webdriver.Chrome, tmp_path: Path) -> None:
    write_sweep(tmp_path)
    evaluations = find_evaluations([tmp_path / "sweep", tmp_path / "llm"])
    write_overview(tmp_path, compare(evaluations), trained_runs(evaluations), ["x" * 500])
    for width in (1200, 390):
        opened.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        opened.get(f"file://{tmp_path}/report.html")
        assert opened.execute_script("return document.documentElement.scrollWidth") <= width
    distilbert, biobert, llm = "distilbert, maccrobat", "biobert, maccrobat", "an LLM"
    for heading, orders in {
        "F1": [[llm, biobert, distilbert], [distilbert, biobert, llm]],
        # numbers below zero; the best has none, which stays last
        "to the best": [[biobert, distilbert, llm], [distilbert, biobert, llm]],
    }.items():
        for wanted in orders:
            opened.find_element(By.XPATH, f"//th[text()='{heading}']").click()
            systems = opened.find_elements(By.CSS_SELECTOR, "#data-1 table:first-of-type tbody th")
            assert [each.text for each in systems[:3]] == wanted
