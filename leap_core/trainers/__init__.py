"""Trainers: how a dataset changes a student. Adding one = one module + one line here."""

TRAINERS = {
    "sft": "leap_core.trainers.sft:SftTrainer",
}
