"""Teachers: who corrects. Adding one = one module + one line here."""

TEACHERS = {
    "oracle": "leap_core.teachers.oracle:OracleTeacher",
}
