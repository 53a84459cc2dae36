"""Fixtures for everything that pytest runs, and the marker `root`.

What is marked with it needs root. Called by somebody else, each such test is run by sudo, and fails with
a sentence when that is not possible: nothing is skipped.
"""
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402


class BySudo(pytest.Item):
    """A test in the place of the one that needs root; it has the same name."""

    def runtest(self):
        words = ["sudo", "-n", f"VEREDUS_BUILD={harness.BUILD}", sys.executable, "-m", "pytest", "-q",
                 "-p", "no:cacheprovider", "--rootdir", str(self.config.rootpath), self.nodeid]
        assert shutil.which("sudo"), "this test needs root, and there is no sudo; run the tests as root"
        done = subprocess.run(words, capture_output=True, text=True, check=False,
                              cwd=self.config.rootpath)
        assert done.returncode == 0, ("this test needs root; run the tests as root, or let sudo ask for "
                                      "no password\n" + done.stdout + done.stderr)

    def repr_failure(self, excinfo, style=None):
        return str(excinfo.value)

    def reportinfo(self):
        return self.path, None, self.name


def pytest_configure(config):
    config.addinivalue_line("markers", "root: needs root; run by sudo when called by somebody else")


def pytest_collection_modifyitems(items):
    if os.geteuid() == 0:
        return
    items[:] = [BySudo.from_parent(item.parent, name=item.name) if item.get_closest_marker("root") else item
                for item in items]


@pytest.fixture
def make_instance(tmp_path):
    """A function that makes an instance (not started); all are ended with the test."""
    made = []

    def make(**options):
        instance = harness.Instance(tmp_path / f"instance{len(made)}", **options)
        made.append(instance)
        return instance

    yield make
    for instance in made:
        if instance.process is not None and instance.process.poll() is None:
            instance.kill()


@pytest.fixture
def instance(make_instance):
    """A running instance with alice@example.test (password "secret")."""
    with make_instance() as running:
        yield running


@pytest.fixture(scope="module")
def shared_instance(tmp_path_factory):
    """One running instance for a module of tests that leave each other alone."""
    made = harness.Instance(tmp_path_factory.mktemp("shared") / "instance",
                            users=[("alice@example.test", "secret"), ("bob@example.test", "word")])
    with made as running:
        yield running


@pytest.fixture(scope="session")
def sanitized():
    """True when the build under test has the sanitizers in it."""
    return "asan" in os.fspath(harness.BUILD)


@pytest.fixture
def mounted():
    """Mounts a tmpfs over a directory until the end of the test; needs root."""
    places = []

    def mount(path, options):
        path.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], check=True)
        places.append(path)
        path.chmod(0o700)

    yield mount
    for path in places:
        subprocess.run(["umount", "-l", str(path)], check=True)
