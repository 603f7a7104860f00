"""Teachers: who corrects. Adding one = one module + one line here."""

TEACHERS = {
    "openai": "leap_core.teachers.openai:OpenAITeacher",
    "oracle": "leap_core.teachers.oracle:OracleTeacher",
    "self": "leap_core.teachers.self_teacher:SelfTeacher",
}
