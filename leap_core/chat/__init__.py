"""Talking to any OpenAI-compatible endpoint: fast within its limits, paid for once, never beyond a budget.

session.py    what teachers and students use: many conversations at once, from code that is not async
client.py     one request: journal, limits, budget, retries
endpoint.py   a request as one endpoint understands it, and what its answer is
wire.py       the HTTP call: no redirects, no retries, nothing that the environment adds
reading.py    replies with counts of tokens that can be, and the words of errors
keys.py       keys from the environment, and looked for in whatever comes back
faults.py     what can go wrong, and what is worth another try
outage.py     how long an endpoint that is out of reach is waited for
journal.py    every reply on disk before it is used
claims.py     one process asks for a reply, others wait for it
limits.py, budget.py, prices.py    how fast, how much, at which price
batches.py, batch_api.py    overnight at half of it
"""
