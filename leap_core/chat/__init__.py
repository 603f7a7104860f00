"""Requests to any OpenAI-compatible endpoint: within its limits, paid for once, never beyond a budget.

session.py    what teachers and students use: many conversations at once, from code that is not async
client.py     one request: journal, claim, budget, limits, retries
endpoint.py   a request as one endpoint understands it, and its answer as a reply or a fault
connection.py the `openai` package's client over httpx, with a transport that adds and follows nothing
reading.py    replies with possible counts of tokens, and the words of errors
keys.py       keys from the environment, and cut out of whatever comes back
faults.py     what can go wrong, and what is worth another try
journal.py    every reply on disk before it is used
claims.py     one process requests a reply, others wait for it
limits.py     how many at once, how many a minute, how long to wait for an endpoint that is down
budget.py     how much may be spent
prices.py     what a reply costs
batches.py    the Batch API: within a day at half the price
"""
