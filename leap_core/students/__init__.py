"""Students: the policies that play and learn. Adding one = one module + one line here."""

STUDENTS = {
    "hf": "leap_core.students.hf:HfStudent",
    "openai": "leap_core.students.openai:OpenAIStudent",
    "scripted": "leap_core.students.scripted:ScriptedStudent",
}
