"""Beam's own options: known to Beam, not the runner's, and of the right type."""

import gc
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions, WorkerOptions

from fluent_pipe.errors import ArgumentError
from fluent_pipe.runners.options import beam_options

OURS = {"runner": "", "flink_master": "master", "environment_config": "worker_pool", "use_public_ips": "public"}


@pytest.fixture
def own_options():
    class OwnOptions(PipelineOptions):
        """As a user may define beside their code."""

        @classmethod
        def _add_argparse_args(cls, parser):
            parser.add_argument("--team", required=True)
            parser.add_argument("--num_workers", type=int)  # Beam has it too
            parser.add_value_provider_argument("--cut", type=float)

    yield
    # Beam looks at every subclass that there is: this one must not be met by other tests.
    del OwnOptions
    gc.collect()
    assert "OwnOptions" not in [kind.__name__ for kind in PipelineOptions.__subclasses__()]


def checked(**options):
    return beam_options(options, where="Flink(options=)")


def refusal(options, **more):
    with pytest.raises(ArgumentError) as caught:
        beam_options(options, where="Flink(options=)", **more)
    return caught.value


def test_an_unknown_name_is_refused_with_the_nearest():
    error = refusal({"max_num_wokers": 3})
    assert str(error) == "Flink(options=): Beam has no option 'max_num_wokers'. Did you mean 'max_num_workers'?"
    assert len(error.valid) > 100


def test_a_name_may_be_that_of_a_flag():
    assert checked(**{"max-num-workers": 3}) == {"max_num_workers": 3}
    assert checked(label="team=ads", worker_machine_type="big") == {"labels": ["team=ads"], "machine_type": "big"}


def test_a_flag_that_switches_off_is_turned_round():
    assert checked(no_use_public_ips=True) == {"use_public_ips": False}
    assert checked(no_pipeline_type_check="true", streaming=True) == {"pipeline_type_check": False, "streaming": True}
    assert checked(pipeline_type_check="False") == {"pipeline_type_check": False}
    assert checked(no_auth=True) == {"no_auth": True}


@pytest.mark.parametrize(
    ("options", "read"),
    [
        ({"max_num_workers": "3"}, {"max_num_workers": 3}),
        ({"profile_sample_rate": 1}, {"profile_sample_rate": 1.0}),
        ({"autoscaling_algorithm": "NONE"}, {"autoscaling_algorithm": "NONE"}),
        ({"experiments": "a=b"}, {"experiments": ["a=b"]}),
        ({"experiments": ("a", "b")}, {"experiments": ["a", "b"]}),
        ({"gcp_oauth_scopes": ["a"]}, {"gcp_oauth_scopes": ["a"]}),
        ({"labels": {"team": "ads"}}, {"labels": ["team=ads"]}),
        ({"sdk_harness_log_level_overrides": {"a.b": "INFO"}}, {"sdk_harness_log_level_overrides": {"a.b": "INFO"}}),
        ({"sdk_harness_log_level_overrides": '{"a": "INFO"}'}, {"sdk_harness_log_level_overrides": {"a": "INFO"}}),
        ({"setup_file": Path("setup.py")}, {"setup_file": "setup.py"}),
        ({"hdfs_port": 9000}, {"hdfs_port": "9000"}),
        ({"dry_run": True}, {"dry_run": True}),
        ({"network": None, "experiments": []}, {}),
    ],
)
def test_values_are_read_as_on_the_command_line(options, read):
    assert beam_options(options, where="Flink(options=)") == read


def test_beam_takes_what_was_checked():
    options = PipelineOptions(flags=[], **checked(no_use_public_ips=True, extra_package="a.whl", num_workers="2"))
    assert options.view_as(WorkerOptions).use_public_ips is False
    assert options.view_as(WorkerOptions).num_workers == 2
    assert options.view_as(SetupOptions).extra_packages == ["a.whl"]


def test_options_that_a_user_defines_are_valid_too(own_options):
    assert checked(team="ads", num_workers="2") == {"team": "ads", "num_workers": 2}
    assert checked(cut="0.5")["cut"].get() == 0.5
    assert "does not take 'half'" in str(refusal({"cut": "half"}))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"max_num_workers": "many"}, "Beam's option 'max_num_workers' takes an integer, got 'many'."),
        ({"max_num_workers": True}, "takes an integer, got True."),
        ({"max_num_workers": 2.5}, "takes an integer, got 2.5."),
        ({"profile_sample_rate": "often"}, "takes a number, got 'often'."),
        ({"streaming": "maybe"}, "takes true or false, got 'maybe'."),
        ({"streaming": 2}, "takes true or false, got 2."),
        ({"sdk_harness_log_level_overrides": "{"}, "takes JSON, got '{'."),
        (
            {"autoscaling_algorithm": "NON"},
            "does not take 'NON'. There are: NONE, THROUGHPUT_BASED. Did you mean 'NONE'?",
        ),
        ({"machine_type": ["big", "small"]}, "does not take ['big', 'small']."),
        ({"machine_type": len}, "does not take <built-in function len>."),
        ({"label": "a", "labels": "b"}, "Beam's option 'labels' is given twice."),
        ({"use_public_ips": True, "no_use_public_ips": True}, "Beam's option 'use_public_ips' is given twice."),
    ],
)
def test_a_wrong_value_is_told(options, told):
    assert told in str(refusal(options))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("runner", "Beam's option 'runner' is set by the runner. Leave it out."),
        ("flink-master", "Beam's option 'flink-master' is set by the runner. Give the runner's own 'master' instead."),
        ("no_use_public_ips", "Give the runner's own 'public' instead."),
        ("worker_pool", "'worker_pool' is no option of Beam's. Give it as the runner's own 'worker_pool'."),
        ("worker_pol", "Beam has no option 'worker_pol'. Did you mean 'worker_pool'?"),
    ],
)
def test_what_the_runner_sets_is_refused_with_its_own_argument(name, told):
    assert str(refusal({name: "x"}, ours=OURS)).endswith(told)


def test_names_of_a_job_server_are_valid_too():
    also = ["checkpointing_interval"]
    assert beam_options({"checkpointing_interval": 5}, where="Flink", also=also) == {"checkpointing_interval": 5}
    assert "Did you mean 'checkpointing_interval'?" in str(refusal({"checkpointing_intervall": 5}, also=also))
