import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import fluent_pipe.runners
from fluent_pipe.errors import RunnerError
from fluent_pipe.runners import java


def test_java_on_the_path_is_found(commands):
    command = commands.java("17.0.15")
    assert java.find() == java.Java(command, "17.0.15")
    assert str(java.find()) == f"Java 17.0.15 ({command})"


def test_that_of_java_home_comes_first(commands, tmp_path, monkeypatch):
    commands.java("17.0.15")
    home = tmp_path / "home"
    (home / "bin").mkdir(parents=True)
    shutil.move(commands.java("21"), home / "bin/java")
    commands.java("17.0.15")
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert java.find().version == "21"


def test_a_java_home_that_is_too_old_or_empty_leads_on_to_the_path(commands, tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("JAVA_HOME", str(home))
    commands.java("17.0.15")
    assert java.find().version == "17.0.15"
    (home / "bin").mkdir(parents=True)
    shutil.move(commands.java("1.8.0_292"), home / "bin/java")
    commands.java("17.0.15")
    assert java.find().version == "17.0.15"


def test_no_java_says_what_is_needed_and_the_command_that_brings_it(commands):
    with pytest.raises(RunnerError, match="need Java 11 or newer: there is no java on the path") as error:
        java.find()
    assert "apt-get install openjdk-17-jre-headless" in str(error.value)


def test_an_empty_java_home_is_named(commands, tmp_path, monkeypatch):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(RunnerError, match=f"JAVA_HOME is {tmp_path}"):
        java.find()


@pytest.mark.parametrize("version", ["1.8.0_292", "10.0.2"])
def test_java_that_is_too_old_is_named(commands, version):
    command = commands.java(version)
    with pytest.raises(RunnerError, match="is too old") as error:
        java.find()
    assert f"Java {version} ({command})" in str(error.value)


def test_a_java_that_only_asks_to_be_installed_is_none(commands):
    commands.add("java", "#!/bin/sh\necho 'Unable to locate a Java Runtime.' >&2; exit 1\n")  # as on a new Mac
    with pytest.raises(RunnerError, match="does not say its version"):
        java.find()


def test_sparks_jar_opens_in_its_manifest_what_the_command_line_opens():
    xml = ET.parse(Path(fluent_pipe.runners.__file__).with_name("maven") / "spark.xml")
    opened = next(e.text for e in xml.iter() if e.tag.endswith("Add-Opens"))
    assert opened == " ".join(f"java.base/{package}" for package in java.OPENED)  # a manifest keeps line breaks
