"""Headless Chromium for tests. Waits are for the page's content, never for a fixed time."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    NoSuchElementException,
    StaleElementReferenceException,
)
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.support.waiting import wait_until

PROGRAMS = ("chromium", "chromedriver")
"""As Debian's packages chromium and chromium-driver install them."""
PATIENCE_SECONDS = 180.0
EDITOR = "document.querySelector('.CodeMirror')?.CodeMirror"
SELECT_VALUE = """
const [key, found] = [arguments[0] + ':', []];
const editor = document.querySelector('.CodeMirror').CodeMirror;
editor.eachLine((line) => {
  if (line.text.trim().startsWith(key)) found.push(line);
});
const [line, at] = [editor.getLineNumber(found[0]), found[0].text.indexOf(':') + 2];
editor.setSelection({line, ch: at}, {line, ch: found[0].text.length});
editor.focus();
return found.length;
"""


def missing_programs() -> list[str]:
    """What a browser test needs and this machine does not have."""
    return [one for one in PROGRAMS if shutil.which(one) is None]


class Browser:
    """One window. Every method waits until the page is ready, or fails and shows its content."""

    def __init__(self, driver: webdriver.Chrome, base: str) -> None:
        self.driver = driver
        self._base = base

    def open(self, path: str) -> None:
        """Open a page: a path below the base, or a full URL."""
        self.driver.get(self._base + path if path.startswith("/") else path)

    def rest(self) -> None:
        """Show an empty page: a live one would keep rendering and polling."""
        self.driver.get("about:blank")

    @property
    def text(self) -> str:
        """The page's visible text."""
        return str(self.driver.execute_script("return document.body?.innerText ?? ''"))

    def wait(self, is_so: Callable[[], object], *, what: str, seconds: float = 0) -> None:
        """Wait until the condition holds.

        Raises:
            AssertionError: it never did; shows the page's content.
        """

        def holds() -> bool:
            try:
                return bool(is_so())
            except (StaleElementReferenceException, NoSuchElementException):
                return False  # the page is being drawn anew

        try:
            wait_until(holds, seconds=seconds or PATIENCE_SECONDS, every=0.25)
        except AssertionError as error:
            raise AssertionError(f"{what}: {error}. The page says:\n{self.text[:3000]}") from error

    def wait_for(self, *texts: str, seconds: float = 0) -> str:
        """Wait until the page shows all of these; returns its text."""
        self.wait(
            lambda: all(one in self.text for one in texts),
            what=" and ".join(texts),
            seconds=seconds,
        )
        return self.text

    def find(self, xpath: str) -> WebElement:
        """The first matching element, once there is one."""
        self.wait(lambda: self.driver.find_elements(By.XPATH, xpath), what=xpath)
        return self.driver.find_element(By.XPATH, xpath)

    def click(self, xpath: str) -> None:
        """Click the element as soon as it can be clicked."""

        def has_clicked() -> bool:
            found = self.driver.find_element(By.XPATH, xpath)
            if not found.is_enabled():
                return False
            try:
                found.click()
            except ElementClickInterceptedException:
                return False  # something is still in front of it
            return True

        self.wait(has_clicked, what=f"click {xpath}")

    def press(self, name: str) -> None:
        """Click the button with this text."""
        self.click(f"//button[normalize-space()='{name}']")

    def typed(self) -> str:
        """The content of the launchpad's editor."""
        return str(self.driver.execute_script(f"return {EDITOR}?.getValue() ?? ''"))

    def type_value(self, key: str, value: str) -> None:
        """Replace the value of a key in the launchpad's editor, with the keyboard."""
        self.wait(lambda: re.search(rf"^ *{key}: ", self.typed(), re.MULTILINE), what=key)
        assert self.driver.execute_script(SELECT_VALUE, key) == 1, f"{key} is there more than once"
        ActionChains(self.driver).send_keys(value).perform()
        self.wait(lambda: f"{key}: {value}\n" in self.typed(), what=f"{key}: {value}")

    def script(self, code: str, *values: Any) -> Any:
        """The value of some JavaScript."""
        return self.driver.execute_script(code, *values)

    def save_screenshot(self, path: Path) -> None:
        """Save a screenshot for a person."""
        self.driver.save_screenshot(str(path))


@contextmanager
def open_browser(base: str, *, width: int = 1500, height: int = 1100) -> Iterator[Browser]:
    """A window for the block, with a fixed language and time zone."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in (
        "--headless=new",
        # Chromium's sandbox refuses to run as root, as containers do; pages here are our own.
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--no-proxy-server",
        # There is no GPU, and emulating one takes as long as the pages do.
        "--disable-gpu",
        "--force-prefers-reduced-motion",
        "--lang=en-US",
        f"--window-size={width},{height}",
    ):
        options.add_argument(argument)
    service = Service(shutil.which("chromedriver") or "", env=os.environ | {"TZ": "UTC"})
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield Browser(driver, base)
    finally:
        driver.quit()
