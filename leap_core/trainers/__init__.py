"""Trainers: how a dataset changes a student. Adding one = one module + one line here."""

import os

# Before any module of this package imports TRL, which reports its use to its makers otherwise.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

TRAINERS = {
    "sft": "leap_core.trainers.sft:SftTrainer",
}
