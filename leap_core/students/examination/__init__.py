"""Looking at a model before it is used: what it is, and all that would keep a run from playing or training it.

No weights are loaded. Files are read with bounds first (settings.py, weights.py); then transformers and PEFT put the
model together from the headers of its files, on torch's device "meta", by the code that will load it (skeleton.py,
adapters.py, targets.py); then its tokenizer is held against it (vocabulary.py). `examine.py` is the way in.
"""
