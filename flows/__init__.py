"""What people run and schedule.

Settings of libraries that must stand before those are imported are made here, since every way in passes here.
"""

import os

for _name, _value in {
    # Waiting OpenMP threads must sleep: spinning ones slow a busy machine several times.
    "OMP_WAIT_POLICY": "passive",
    "TOKENIZERS_PARALLELISM": "false",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}.items():
    os.environ.setdefault(_name, _value)
