"""What runners say when they themselves are at fault, in words that help. The texts are theirs, as seen."""

import pytest

from fluent_pipe.runners.failures import of_runner

SAID = {
    "java.io.IOException: Insufficient number of network buffers: required 1, but only 0 available. The total number "
    "of network buffers is currently set to 32 of 32768 bytes each.": "taskmanager.memory.network.max",
    "java.lang.OutOfMemoryError: Could not allocate enough memory segments for NetworkBufferPool (required (MB): 256, "
    "allocated (MB): 119, missing (MB): 137). Cause: Direct buffer memory.": 'memory="4g"',
    "java.lang.OutOfMemoryError: Java heap space": 'memory="4g"',
    "java.lang.OutOfMemoryError: Metaspace": "jvm-metaspace.size",
    "org.apache.flink.runtime.jobmanager.scheduler.NoResourceAvailableException: Could not acquire the minimum "
    "required resources.": "Lower parallelism",
    "java.net.ConnectException: java.net.ConnectException: finishConnect(..) failed: Connection refused": "worker-pool",
    "org.apache.beam.vendor.grpc.v1p60p1.io.grpc.StatusRuntimeException: UNAVAILABLE: io exception": "worker-pool",
    "java.net.ConnectException: Connection refused": "given as master",
    "java.lang.IllegalStateException: Cannot call methods on a stopped SparkContext.": "given as master",
    "org.apache.spark.SparkException: Job 0 cancelled because SparkContext was shut down": 'memory="4g"',
}


@pytest.mark.parametrize(("said", "fix"), SAID.items(), ids=[text.split(":")[0][-30:] for text in SAID])
def test_says_what_to_do(said, fix):
    assert fix in of_runner(f"{said}\n\tat some.Class.method(Class.java:1)").fix


@pytest.mark.parametrize(
    "said", ["ValueError: bad row", "ConnectionRefusedError: [Errno 111] Connection refused", "MemoryError", ""]
)
def test_errors_of_workers_are_not_the_runners(said):
    assert of_runner(said) is None
