"""Examining a model before it is used: what it is, and everything that would keep a run from playing or training it.

No weights are loaded. Files are first read with bounds (settings.py, weights.py); then transformers and PEFT build the
model on torch's device "meta" from the headers of its files, by the code that will load it (skeleton.py,
adapters.py); then its tokenizer is compared with it (vocabulary.py). Start reading at `examine.py`.
"""
