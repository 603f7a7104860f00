"""Talking to any OpenAI-compatible endpoint: fast within its limits, paid for once, never beyond a budget.

session.py    what teachers and students use: many conversations at once, from code that is not async
client.py     one request: journal, limits, budget, retries
endpoint.py   the HTTP call, by the `openai` package, and what the answer is
faults.py     what can go wrong, and what is worth another try
outage.py     how long an endpoint that is out of reach is waited for
journal.py    every reply on disk before it is used
claims.py     one process asks for a reply, others wait for it
limits.py, budget.py, prices.py, batches.py    how fast, how much, at which price, overnight at half of it
"""
