"""Every `leap` command of the pages runs, on the home of one run of `smoke`; what is not run says why on its page."""

import shutil

import pytest
from leap_command import leap_here
from markdown_pages import PAGES, ROOT, SHELL, blocks_of, commands_of

pytestmark = pytest.mark.slow
TO_RUN = {
    page: [
        command
        for block in blocks_of(page)
        if block.language in SHELL and block.why_not_run is None
        for command in commands_of(block)
    ]
    for page in PAGES
}


@pytest.mark.parametrize("page", [page for page in PAGES if TO_RUN[page]], ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page(undisturbed, page, tmp_path, monkeypatch):
    home = shutil.copytree(undisturbed.home, tmp_path / "home", ignore=shutil.ignore_patterns("prefect"))
    monkeypatch.chdir(tmp_path)
    for program, *arguments in TO_RUN[page]:
        assert program == "leap", "mark the fence as not run, and say why"
        done = leap_here(*arguments, LEAP_HOME=str(home))
        # `leap doctor` exits with 1 where this machine lacks something; that is no error.
        assert done.returncode == 0 or (arguments[0] == "doctor" and not done.stderr), (arguments, done.stderr)
