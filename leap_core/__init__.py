"""LEAP: student agents that learn from privileged corrections of their own episodes (arXiv 2410.05434).

The library behind the flows. It works without Prefect and never imports `prefect`, `flows` or `tasks`.
"""

__version__ = "0.1.0"
