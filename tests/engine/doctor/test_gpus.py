"""What the doctor says of GPUs, libraries and TensorRT. NVML's answers here are made up."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pynvml
import pytest

from cxrsweep.engine.decode.jpeg_share import SizeClass
from cxrsweep.engine.decode.pipelines import DecoderUse
from cxrsweep.engine.doctor import jpeg_engines, libraries, runtimes
from cxrsweep.engine.doctor.checks import Check
from cxrsweep.engine.doctor.gpus import first_gpu, gpu_checks, throttles_in_words
from cxrsweep.engine.doctor.jpeg_engines import (
    engine_notes,
    hardware_decoder,
    jpeg_engine_check,
    judged,
)
from cxrsweep.engine.doctor.libraries import Library, driver_library_check, open_nvjpeg
from cxrsweep.engine.doctor.runtimes import flavour_check, gpu_runtime_checks, plan_run_checks
from cxrsweep.engine.doctor.tiny_plan import build_tiny_plan, run_tiny_plan
from cxrsweep.engine.errors import PlanError
from cxrsweep.engine.hardware.gpu import Gpu, found_gpus
from cxrsweep.engine.plans.flavour import Flavour, open_flavour

HAS_GPU = first_gpu() is not None
without_gpu = pytest.mark.skipif(HAS_GPU, reason="a GPU is here")
with_gpu = pytest.mark.skipif(not HAS_GPU, reason="no NVIDIA GPU here")

HOPPER = Gpu(0, "NVIDIA H100", (9, 0), 81920, 81000, "580.65", "13.0", "00000000:01:00.0")
ADA = Gpu(0, "NVIDIA L4", (8, 9), 23034, 22000, "580.65", "13.0", "00000000:01:00.0")


@pytest.fixture
def made_up_nvml(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """NVML that answers for one H100; names are checked against the real module."""
    answers: dict[str, object] = {
        "nvmlInit": None,
        "nvmlShutdown": None,
        "nvmlDeviceGetCount": 1,
        "nvmlDeviceGetHandleByIndex": "device",
        "nvmlDeviceGetName": "NVIDIA H100",
        "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=80 * 2**30, free=79 * 2**30),
        "nvmlDeviceGetCudaComputeCapability": (9, 0),
        "nvmlSystemGetDriverVersion": "580.65.06",
        "nvmlSystemGetCudaDriverVersion_v2": 13000,
        "nvmlDeviceGetPciInfo": SimpleNamespace(busIdLegacy="0000:01:00.0"),
        "nvmlDeviceGetClockInfo": 1410,
        "nvmlDeviceGetMaxClockInfo": 1980,
        "nvmlDeviceGetTemperature": 61,
        "nvmlDeviceGetCurrentClocksEventReasons": 0,
    }

    def answer(name: str) -> object:
        found = answers[name]
        if isinstance(found, Exception):
            raise found
        return found

    for name in answers:
        monkeypatch.setattr(pynvml, name, lambda *_, name=name: answer(name))
    return answers


def test_gpu_line_as_made_up_nvml_gives_it(made_up_nvml: dict[str, object]) -> None:
    identity, clocks = gpu_checks()
    assert identity.state == clocks.state == "ok"
    assert identity.facts == (
        "NVIDIA H100, compute capability 9.0, 79.0 of 80.0 GiB free, driver 580.65.06 for CUDA 13.0"
    )
    assert clocks.facts == "1410 of 1980 MHz, 61 degrees C, not throttled"


def test_throttled_gpu_as_made_up_nvml_gives_it(made_up_nvml: dict[str, object]) -> None:
    made_up_nvml["nvmlDeviceGetCurrentClocksEventReasons"] = 0x4 | 0x40
    _, clocks = gpu_checks()
    assert clocks.state == "warn"
    assert clocks.facts.endswith("held by the power limit, slowed hard by heat")
    assert clocks.remedy.startswith("nvidia-smi -q")


def test_gpu_that_tells_no_clocks_as_made_up_nvml_gives_it(
    made_up_nvml: dict[str, object],
) -> None:
    refusal = pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
    made_up_nvml["nvmlDeviceGetClockInfo"] = refusal
    made_up_nvml["nvmlDeviceGetCurrentClocksEventReasons"] = refusal
    _, clocks = gpu_checks()
    assert (clocks.state, clocks.facts) == ("ok", "unknown of 1980 MHz, 61 degrees C, unknown")


@pytest.mark.parametrize(
    ("question", "answer", "words"),
    [
        ("nvmlSystemGetCudaDriverVersion_v2", 12040, "CUDA 13 needs driver 580"),
        ("nvmlDeviceGetCudaComputeCapability", (7, 0), "CUDA 13 needs 7.5"),
    ],
)
def test_gpu_that_cuda_13_does_not_serve_is_bad_as_made_up_nvml_gives_it(
    made_up_nvml: dict[str, object], question: str, answer: object, words: str
) -> None:
    made_up_nvml[question] = answer
    identity, _ = gpu_checks()
    assert identity.state == "bad"
    assert words in identity.facts
    assert identity.remedy


def test_driver_that_does_not_answer_is_bad_as_made_up_nvml_gives_it(
    made_up_nvml: dict[str, object],
) -> None:
    made_up_nvml["nvmlInit"] = pynvml.NVMLError(pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH)
    (line,) = gpu_checks()
    assert (line.state, line.needed_for) == ("bad", "gpu")
    assert "does not answer" in line.facts
    assert line.remedy.startswith("sudo reboot")


@without_gpu
def test_machine_without_a_driver_is_no_error() -> None:
    (line,) = gpu_checks()
    assert (line.state, line.needed_for) == ("absent", "gpu")
    assert "nvidia-driver-580" in line.remedy


@pytest.mark.parametrize(
    ("reasons", "words", "slows"),
    [
        (0, "not throttled", False),
        (0x1, "idle", False),
        (0x20 | 0x1, "idle, slowed by heat", True),
        (0x80, "braked by the power supply", True),
        (0x10000, "another reason (0x10000)", True),
    ],
)
def test_throttle_reasons_in_words(reasons: int, words: str, slows: bool) -> None:
    assert throttles_in_words(reasons) == (words, slows)


def test_every_reason_that_nvml_names_has_words() -> None:
    known = [name for name in dir(pynvml) if name.startswith("nvmlClocksEventReason")]
    for name in set(known) - {"nvmlClocksEventReasonAll", "nvmlClocksEventReasonNone"}:
        assert "another" not in throttles_in_words(getattr(pynvml, name))[0], name


@pytest.mark.parametrize(("has_gpu", "state"), [(True, "bad"), (False, "absent")])
def test_missing_library_is_named_with_its_remedy(has_gpu: bool, state: str) -> None:
    library = Library("libnot-there.so.1", "all", "apt install it", "gpu")
    check = driver_library_check(library, has_gpu=has_gpu)
    assert (check.name, check.state, check.remedy) == ("libnot-there.so.1", state, "apt install it")
    assert check.facts.startswith("for all: cannot open")


def test_library_that_loads_is_ok() -> None:
    library = Library("libc.so.6", "all", "", "gpu")
    assert driver_library_check(library, has_gpu=True).state == "ok"


def test_nvjpeg_of_the_package_loads_and_has_the_functions_that_are_called() -> None:
    library = open_nvjpeg()
    for name in ("nvjpegCreateSimple", "nvjpegGetHardwareDecoderInfo", "nvjpegDestroy"):
        assert hasattr(library, name)
    check = libraries.nvjpeg_check(has_gpu=False)
    assert check.state == "ok"
    assert check.facts.startswith("13.")


def test_nvjpeg_that_does_not_load_has_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "files", lambda _: None)
    monkeypatch.setattr(libraries, "NVJPEG", "libnot-there.so.13")
    check = libraries.nvjpeg_check(has_gpu=True)
    assert (check.state, check.needed_for) == ("bad", "gpu")
    assert "libnot-there.so.13" in check.facts
    assert check.remedy


@without_gpu
def test_nvjpeg_really_refuses_without_a_gpu_and_that_is_an_error() -> None:
    with pytest.raises(jpeg_engines.DeviceError, match="nvjpegCreateSimple answers"):
        hardware_decoder()


@pytest.mark.parametrize(
    ("gpu", "engines", "state", "facts"),
    [
        (None, (0, 0), "absent", "need a GPU that has them"),
        (HOPPER, (7, 4), "ok", "7, with 4 cores each"),
        (HOPPER, (0, 0), "warn", "0 shown, but NVIDIA H100 has them"),
        (ADA, (0, 0), "ok", "0 shown; NVIDIA L4 decodes JPEG on its cores"),
    ],
)
def test_jpeg_engines_that_should_be_there_but_are_hidden_have_a_remedy(
    monkeypatch: pytest.MonkeyPatch,
    gpu: Gpu | None,
    engines: tuple[int, int],
    state: str,
    facts: str,
) -> None:
    monkeypatch.setattr(jpeg_engines, "hardware_decoder", lambda: engines)
    check = jpeg_engine_check(gpu)
    assert check.state == state
    assert check.facts.startswith(facts)
    asks_for_video = "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video" in check.remedy
    assert asks_for_video == (state == "warn")


def test_tensorrt_for_rtx_builds_a_plan_without_a_gpu() -> None:
    check, built = flavour_check("tensorrt_rtx")
    assert check.state == "ok", check
    assert built is not None
    flavour, plan = built
    assert check.facts.startswith(f"{flavour.version} builds a plan of {len(plan)} bytes")
    assert len(plan) > 1000


def test_tensorrt_that_builds_nothing_says_why() -> None:
    real = open_flavour("tensorrt_rtx").trt

    class Builder:
        def __init__(self, logger: object) -> None:
            logger.log(real.ILogger.Severity.ERROR, "no memory\nleft")  # type: ignore[attr-defined]

        def create_network(self, flags: int) -> None:
            return None

    broken = SimpleNamespace(
        ILogger=real.ILogger,
        Builder=Builder,
        NetworkDefinitionCreationFlag=real.NetworkDefinitionCreationFlag,
    )
    with pytest.raises(PlanError, match="does not make a network: no memory left"):
        build_tiny_plan(Flavour("tensorrt_rtx", "1.7.1", broken))


@pytest.fixture
def made_up_pycuda(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A pycuda that does nothing, and what was done with its context."""
    done: list[str] = []
    context = SimpleNamespace(push=lambda: done.append("push"), pop=lambda: done.append("pop"))
    device = SimpleNamespace(retain_primary_context=lambda: context, name=lambda: "GPU")
    driver = ModuleType("pycuda.driver")
    driver.__dict__.update(
        init=lambda: None,
        Device=lambda number: device,
        Error=type("Error", (Exception,), {}),
        Stream=lambda flags: SimpleNamespace(handle=flags, synchronize=lambda: None),
        mem_alloc=lambda size: size,
        memcpy_htod_async=lambda target, given, stream: None,
        memcpy_dtoh_async=lambda target, given, stream: None,
    )
    package = ModuleType("pycuda")
    package.__dict__["driver"] = driver
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", driver)
    return done


@without_gpu
def test_tensorrt_really_refuses_to_open_the_plan_here_and_that_is_an_error(
    made_up_pycuda: list[str],
) -> None:
    flavour = open_flavour("tensorrt_rtx")
    with pytest.raises(PlanError, match=r"does not open the plan: .*CUDA driver version"):
        run_tiny_plan(flavour, build_tiny_plan(flavour))
    assert made_up_pycuda == ["push", "pop"]


@pytest.mark.parametrize(
    ("binds", "runs", "message"),
    [
        (False, True, "TensorRT does not bind x"),
        (True, False, "TensorRT does not run the plan"),
        (True, True, "it gives .*0.0, 0.0, 0.0, 0.0.* for twice .*1.0, 2.0, 3.0, 4.0"),
    ],
)
def test_false_from_a_made_up_tensorrt_is_an_error(
    made_up_pycuda: list[str], binds: bool, runs: bool, message: str
) -> None:
    execution = SimpleNamespace(
        set_tensor_address=lambda name, address: binds, execute_async_v3=lambda stream: runs
    )
    opened = SimpleNamespace(create_execution_context=lambda: execution)
    runtime = SimpleNamespace(deserialize_cuda_engine=lambda plan: opened)
    real = open_flavour("tensorrt_rtx").trt
    made_up = SimpleNamespace(ILogger=real.ILogger, Runtime=lambda logger: runtime)
    with pytest.raises(PlanError, match=message):
        run_tiny_plan(Flavour("tensorrt", "11.4", made_up), b"plan")
    assert made_up_pycuda == ["push", "pop"]


def test_plans_are_not_run_without_a_gpu() -> None:
    (line,) = plan_run_checks([], has_gpu=False)
    assert (line.state, line.needed_for) == ("absent", "gpu")


def test_gpu_without_any_tensorrt_is_bad() -> None:
    (line,) = plan_run_checks([], has_gpu=True)
    assert (line.state, line.needed_for) == ("bad", "gpu")
    assert "pip install" in line.remedy


@pytest.mark.parametrize(
    ("running", "states"),
    [
        ({"tensorrt", "tensorrt_rtx"}, ["ok", "ok"]),
        ({"tensorrt"}, ["ok", "warn"]),
        (set(), ["bad", "bad"]),
    ],
)
def test_one_tensorrt_that_runs_is_enough(
    monkeypatch: pytest.MonkeyPatch, running: set[str], states: list[str]
) -> None:
    def run(flavour: Flavour, plan: bytes) -> str:
        if flavour.name not in running:
            raise PlanError("it does not run")
        return "NVIDIA H100"

    monkeypatch.setattr(runtimes, "run_tiny_plan", run)
    plans = [(Flavour("tensorrt", "11.4", None), b""), (Flavour("tensorrt_rtx", "1.7", None), b"")]
    lines = plan_run_checks(plans, has_gpu=True)
    assert [line.state for line in lines] == states
    assert all(line.remedy for line in lines if line.state != "ok")


def test_openvino_that_calculates_wrongly_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    from openvino import opset13

    monkeypatch.setattr(opset13, "add", opset13.multiply)
    check = runtimes.openvino_check()
    assert check.state == "bad"
    assert "gives [[1.0, 4.0, 9.0, 16.0]] for twice [[1.0, 2.0, 3.0, 4.0]]" in check.facts


@pytest.mark.gpu
@with_gpu
def test_gpu_is_described_and_every_line_that_is_not_well_says_how_to_mend_it() -> None:
    lines: list[Check] = [*gpu_checks(), *gpu_runtime_checks(has_gpu=True)]
    assert lines[0].state == "ok"
    assert all(line.remedy for line in lines if line.state in ("bad", "warn"))
    assert hardware_decoder()[0] or not jpeg_engines.has_engines(found_gpus()[0].compute_capability)


def classes_with(rates: dict[str, float]) -> list[SizeClass]:
    return [SizeClass(1.2, DecoderUse("mixed", 0), rates), SizeClass(4.0, DecoderUse(), {})]


SHOWN = Check("JPEG engines", "ok", "7, with 1 cores each")


def test_hidden_engines_are_said_with_the_remedy() -> None:
    (line,) = engine_notes(judged(HOPPER, "0 shown"), [])
    assert "0 shown, but NVIDIA H100 has them" in line
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video" in line


def test_engines_that_change_nothing_are_said_to_be_unused() -> None:
    (line,) = engine_notes(SHOWN, classes_with({"0.0": 1000.0, "1.0": 1010.0}))
    assert "up to 1.2 megapixels decode as fast without them" in line
    assert engine_notes(SHOWN, classes_with({"0.0": 1000.0, "1.0": 1500.0})) == []
    assert engine_notes(SHOWN, classes_with({})) == []


def test_a_gpu_that_has_no_engines_is_not_blamed() -> None:
    equal = classes_with({"0.0": 1000.0, "1.0": 1000.0})
    assert engine_notes(judged(ADA, "0 shown"), equal) == []
