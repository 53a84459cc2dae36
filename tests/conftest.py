"""Fixtures for everything that pytest runs."""
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402


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
