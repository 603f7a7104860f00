"""Which numbers a model computes in: what "auto" stands for, and that the answer is in the keys."""

import pytest
from student_models import conversation, make_small_tiny

from leap_core.config import ExecutionConfig, LeapConfig, StudentConfig
from leap_core.students.base import ActRequest
from leap_core.students.hf import HfStudent
from leap_core.students.precision import has_native_bf16, resolve_precision
from tasks.evaluation import EVALUATION, EvaluationIdentity
from tasks.identity import PlayedStudent
from tasks.keys import declared_key, key_content


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16 amx_tile\n", True),
        ("flags\t\t: fpu amx_bf16\n", True),
        ("Features\t: fp asimd bf16 i8mm\n", True),
        ("flags\t\t: fpu avx2 fma\n", False),
        ("model name\t: avx512_bf16\nflags\t\t: fpu\n", False),
        ("", False),
    ],
)
def test_a_cpu_computes_in_bf16_where_its_flags_say_so(text, expected, tmp_path):
    (tmp_path / "cpuinfo").write_text(text)
    assert has_native_bf16(tmp_path / "cpuinfo") is expected


def test_a_system_that_says_nothing_of_its_cpu_is_taken_not_to(tmp_path):
    assert not has_native_bf16(tmp_path / "missing")


def test_auto_is_never_the_answer():
    assert {resolve_precision("auto", device) for device in ("auto", "cpu")} <= {"fp32", "bf16"}
    assert [resolve_precision(setting, "cpu") for setting in ("fp32", "bf16")] == ["fp32", "bf16"]


def key_of(**student):
    identity = EvaluationIdentity.of(LeapConfig.model_validate({"student": student}), 1, "test")
    return key_content(declared_key(EVALUATION.name, EVALUATION.version), identity)


def test_the_precision_is_in_the_key_of_what_is_played():
    assert key_of(precision="bf16")["student"]["precision"] == "bf16"
    assert "precision" not in key_of(precision="fp32")["student"]
    assert key_of(precision="auto") in (key_of(precision="fp32"), key_of(precision="bf16"))


def test_behind_an_endpoint_the_precision_is_not_ours():
    kinds = [PlayedStudent.of(StudentConfig(kind="openai", precision=one), None, "cpu") for one in ("fp32", "bf16")]
    assert kinds[0] == kinds[1]


def test_a_student_plays_in_the_precision_that_is_set(tmp_path):
    tiny = make_small_tiny(tmp_path)
    asked = ActRequest(slot="e", messages=conversation(0, 1), admissible=("look",), seed=0)
    for precision in ("fp32", "bf16"):
        config = StudentConfig(max_new_tokens=8, precision=precision)
        student = HfStudent(tiny, config, ExecutionConfig(device="cpu"), temperature=0)
        assert student.act([asked])[0].text.endswith("ACTION: look")
        assert {str(one.dtype) for one in student._model.parameters()} == {
            {"fp32": "torch.float32", "bf16": "torch.bfloat16"}[precision]
        }
